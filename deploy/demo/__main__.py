"""`make demo`: real digits from ONNX Runtime in process and from a real Triton, through one address.

Starts both servers on loopback, applies deploy/examples, asks over REST JSON, REST binary and gRPC, shows what came back,
and keeps serving until Ctrl-C. With ONCE=1 it ends after the predictions, with status 0 if every check held.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy.demo import show
from deploy.demo.ask import Asked, ask_everything, first_prediction, wait_for
from deploy.demo.processes import FailedError, Ports, Server, choose_ports, run, running, say
from deploy.examples.assemble import EXAMPLES, assemble
from deploy.triton.launch import Ports as TritonPorts
from deploy.triton.launch import command, environment
from deploy.triton.setup import DEFAULT_DEST, SetupError, setup

ROOT = Path(__file__).resolve().parents[2]
PENSTOCK = str(Path(sys.executable).with_name("penstock"))
TRITON_START_S = 120.0
PENSTOCK_START_S = 60.0


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is ended then, too
    try:
        with contextlib.ExitStack() as started:
            code = demonstrate(started)
    except FailedError as error:
        print(f"\nThe demonstration stops here: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    say("stopped; the logs stay in .demo")
    return code


def demonstrate(started: contextlib.ExitStack) -> int:
    """The whole of it; whatever runs is entered into `started`."""
    try:
        setup(DEFAULT_DEST, ROOT / "requirements.lock")  # says something only if there is something to do
    except SetupError as error:
        raise FailedError(f"Triton cannot be installed: {error}") from error
    ports = choose_ports()
    place = ROOT / ".demo" / str(ports.http)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    say(f"starting Triton (REST {ports.triton_http}, gRPC {ports.triton_grpc}) and Penstock; logs: {shorter(place)}")
    triton = started.enter_context(start_triton(ports, place))
    penstock = started.enter_context(start_penstock(ports, place))
    penstock.wait_ready(ports.http, PENSTOCK_START_S)
    say(f"Penstock is ready: REST {ports.http}, gRPC {ports.grpc}, admin {ports.admin}")
    triton.wait_ready(ports.triton_http, TRITON_START_S)
    say("Triton is ready")
    with penstock.explaining(), triton.explaining():
        asked = predict(ports, place)
    fine = show.everything(asked)
    say("all predictions are in" if fine else "not everything is as it should be; see above")
    once = os.environ.get("ONCE") == "1"
    if not once:
        show.addresses(ports)
        keep_serving(penstock, triton)
    say("stopping (Triton takes a few seconds)")
    return 0 if fine or not once else 1


def predict(ports: Ports, place: Path) -> Asked:
    """Apply the examples, and ask."""
    manifests = manifests_for(ports, place)
    say(f"penstock apply -f {shorter(manifests)}")
    print(run([PENSTOCK, "apply", "-f", str(manifests), "--server", f"http://127.0.0.1:{ports.admin}"]), end="")
    say(f"first prediction: {first_prediction(ports.http)}")
    wait_for(ports.http, ("digits@2", "digits-triton", "digits-live"))
    say("asking for every test image, over every carrier")
    return ask_everything(ports.http, ports.grpc)


@contextlib.contextmanager
def start_triton(ports: Ports, place: Path) -> Iterator[Server]:
    """Triton with one model of its own, `digits`, which runs the file that `digits@1` runs in process."""
    repository = assemble(place / "triton-repository")
    listen = TritonPorts(ports.triton_http, ports.triton_grpc, ports.triton_metrics)
    arguments = command(DEFAULT_DEST, repository, listen, load=["digits"])
    with running("Triton", arguments, place / "triton.log", environment(DEFAULT_DEST)) as server:
        yield server


@contextlib.contextmanager
def start_penstock(ports: Ports, place: Path) -> Iterator[Server]:
    """Penstock on SQLite, with nothing but its own process."""
    arguments = [PENSTOCK, "serve", "--data-dir", str(place / "data")]
    for name in ("http", "grpc", "admin"):
        arguments += [f"--{name}-port", str(getattr(ports, name))]
    with running("Penstock", arguments, place / "penstock.log", plain_environment()) as server:
        yield server


def plain_environment() -> Mapping[str, str]:
    """Ours without the reader's own PENSTOCK_ settings, which would change what is shown here."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}


def manifests_for(ports: Ports, place: Path) -> Path:
    """deploy/examples, or a copy that names other ports of Triton's where the usual ones were taken."""
    if (ports.triton_http, ports.triton_grpc) == (8000, 8001):
        return EXAMPLES
    copy = place / "examples"
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__", "triton"))
    text = (copy / "backends.yaml").read_text(encoding="utf-8")
    for usual, chosen in (("127.0.0.1:8000", ports.triton_http), ("127.0.0.1:8001", ports.triton_grpc)):
        text = text.replace(usual, f"127.0.0.1:{chosen}")
    (copy / "backends.yaml").write_text(text, encoding="utf-8")
    return copy


def keep_serving(*servers: Server) -> None:
    """Until Ctrl-C, or until one of them ends."""
    try:
        while True:
            for server in servers:
                server.require_alive()
            time.sleep(0.5)
    except KeyboardInterrupt:
        print()


def shorter(path: Path) -> str:
    """A path as the reader would type it, from the project's folder."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main())
