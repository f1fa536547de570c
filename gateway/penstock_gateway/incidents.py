"""Faults nobody foresaw: logged in full under an incident id, shown to the caller as that id and nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import structlog

from penstock_adapters.protocol.errors import Internal, PenstockError

Fault = Callable[[Exception], PenstockError]


def fault_reporter(log: structlog.stdlib.BoundLogger) -> Fault:
    """A function that logs an exception and gives the error to answer with."""

    def report(error: Exception) -> PenstockError:
        incident = secrets.token_hex(6)
        log.error("unforeseen_error", incident=incident, exc_info=error)
        return Internal("internal", incident=incident)

    return report
