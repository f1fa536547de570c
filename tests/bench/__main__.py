"""Run the bars and write docs/performance.md: `python -m tests.bench [--only 1,3] [--quick]`."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from tests.bench import bar_embedded, bar_grpc, bar_large, bar_models, bar_rest, report
from tests.bench.machine import facts
from tests.bench.results import BarResult, Report
from tests.bench.servers import REPOSITORY
from tests.bench.stage import Stage, stage

BARS: Final[Mapping[int, Callable[[Stage], BarResult]]] = {
    1: bar_rest.run,
    2: bar_grpc.run,
    3: bar_embedded.run,
    4: bar_large.run,
    5: bar_models.run,
}
RAW: Final = REPOSITORY / ".cache" / "bench"
DOCUMENT: Final = REPOSITORY / "docs" / "performance.md"
CAUSES: Final = Path(__file__).with_name("shortfalls.md")
ROUNDS: Final = 7
QUICK_ROUNDS: Final = 3
QUICK_SCALE: Final = 0.15


def main() -> int:
    """0 = every promise is met or its shortfall explained, 1 = some are neither."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="The bars of the design, measured.")
    parser.add_argument("--only", default="", help="numbers of the bars to run, e.g. 1,3; writes no document")
    parser.add_argument("--quick", action="store_true", help="few requests and rounds; writes no document")
    parser.add_argument(
        "--rounds", type=int, default=0, help=f"rounds per bar (default {ROUNDS}, quick {QUICK_ROUNDS})"
    )
    parser.add_argument("--render", action="store_true", help="run nothing: write the document from the last full run")
    arguments = parser.parse_args()
    console = Console()
    if arguments.render:
        write(msgspec.json.decode((RAW / "full.json").read_bytes(), type=Report), console)
        return 0
    chosen = [int(part) for part in arguments.only.split(",") if part] or list(BARS)
    made = run(
        chosen, arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS), console, quick=arguments.quick
    )
    RAW.mkdir(parents=True, exist_ok=True)
    full = chosen == list(BARS) and not arguments.quick
    raw = RAW / ("full.json" if full else "partial.json")
    raw.write_bytes(msgspec.json.encode(made))
    console.print(f"\\[bench] raw numbers: {raw}")
    if full:
        write(made, console)
    unexplained = report.unexplained(made, report.read_causes(CAUSES.read_text()))
    for promise in unexplained:
        console.print(f"[red]not met, and no cause in {CAUSES.relative_to(REPOSITORY)}:[/] {promise}")
    return 1 if unexplained else 0


def run(chosen: list[int], rounds: int, console: Console, *, quick: bool) -> Report:
    """Run the chosen bars, showing each as it is done."""
    machine, started = facts(), time.monotonic()
    if not machine.quiet:
        console.print(
            f"[yellow]\\[bench] load average is {machine.load}: the machine is not quiet, numbers will be noisy"
        )
    bars = []
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        for number in chosen:
            console.print(f"\\[bench] bar {number} ...")
            work = Path(folder) / str(number)
            work.mkdir()
            with stage(work, rounds=rounds, scale=QUICK_SCALE if quick else 1.0) as shared:
                bars.append(BARS[number](shared))
            report.show(bars[-1], console)
    return Report(machine, rounds, quick, (time.monotonic() - started) / 60, tuple(bars))


def write(made: Report, console: Console) -> None:
    """Write the document."""
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(report.markdown(made, report.read_causes(CAUSES.read_text())))
    console.print(f"\\[bench] wrote {DOCUMENT.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    raise SystemExit(main())
