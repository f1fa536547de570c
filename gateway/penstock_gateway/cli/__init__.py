"""The command line. `main` is the entry point `penstock`."""

from penstock_gateway.cli.application import main

__all__ = ["main"]
