"""How the demonstration looks: tables for people, and a verdict on what they show."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby

from deploy.demo.ask import BATCH, Asked
from deploy.demo.processes import PENSTOCK_PORTS, Ports
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

SHADES = " ░▒▓█"
DRAWN, DRAWN_WIDTH, GAP = 6, 16, 3
"""Images in a row, where there is room; and columns of an image and between two."""
NARROW, FRAME = 110, 3
"""Columns below which a table is narrow; and what a cell takes besides its text."""
WIDTH = 118
"""Columns where the output is not a terminal."""
FIELDS = {"asked for": "asked", "over": "carrier", "truth": "truth", "answer": "answer", "served by": "served_by"}
"""Column -> field of a row; all but the one that may be shortened."""
SHARE, TOLERANCE = 0.90, 0.06
"""What digits@1 gets of the route, and how far 450 users may be from it: over four standard deviations."""


def everything(asked: Asked) -> bool:
    """Print it all; True if all of it is as it should be."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    console.print()
    draw(console, asked)
    console.print(predictions(asked, console.width))
    console.print(accuracies(asked))
    return equal_bits(console, asked) & observed_split(console, asked)


def draw(console: Console, asked: Asked) -> None:
    """The first test images, as a person would see them."""
    drawn = max(1, min(DRAWN, (console.width + GAP) // (DRAWN_WIDTH + GAP)))
    console.print(f"[bold]Test images 0 to {drawn - 1}[/bold], 8 x 8 pixels, none of them seen in training:\n")
    for row in range(8):
        cells = (asked.images[number].reshape(8, 8)[row] for number in range(drawn))
        console.print(
            (" " * GAP).join("".join(SHADES[int(pixel) // 4] * 2 for pixel in cell) for cell in cells), highlight=False
        )
    console.print()


def predictions(asked: Asked, width: int) -> Table:
    """Who answered what, in `width` columns: where there is little room, "what" is shortened and a right truth left out."""
    table = Table(title="Predictions", title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    narrow = width < NARROW
    names = ("asked for", "over", "what", *(() if narrow else ("truth",)), "answer", "served by")
    for name in names:
        table.add_column(name, no_wrap=True)
    others = [
        max(len(name), *(len(getattr(row, FIELDS[name])) for row in asked.rows)) for name in names if name in FIELDS
    ]
    room = max(FRAME, width - sum(others) - FRAME * len(names) - 1)
    for name, rows in groupby(asked.rows, key=lambda row: row.asked):
        for row in rows:
            right = row.answer == row.truth
            answer = f"[{'green' if right else 'red'}]{escape(row.answer)}[/]"
            if narrow and not right:
                answer += f", not {escape(row.truth)}"
            what = row.what if len(row.what) <= room else f"{row.what[: room - 1]}…"
            table.add_row(name, row.carrier, escape(what), *([] if narrow else [row.truth]), answer, row.served_by)
        table.add_section()
    return table


def accuracies(asked: Asked) -> Table:
    """How often they were right, over the whole test set."""
    total = len(asked.labels)
    table = Table(
        title=f"Accuracy over the {total} test images", title_justify="left", box=box.SIMPLE_HEAD, title_style="bold"
    )
    for column in ("asked for", "over", "right", "accuracy", f"ms for {BATCH} images"):
        table.add_column(column, justify="left" if column in ("asked for", "over") else "right")
    for name, rows in groupby(asked.tested, key=lambda row: row.name):
        for row in rows:
            share = f"{row.right / row.total:.2%}"
            table.add_row(
                name, row.carrier, f"{row.right} of {row.total}", share, f"{row.seconds * 1000 * BATCH / row.total:.1f}"
            )
        table.add_section()
    return table


def equal_bits(console: Console, asked: Asked) -> bool:
    """One model, two places, three carriers: the same bits."""
    by_model: dict[str, list[bytes]] = defaultdict(list)
    for row in asked.tested:
        by_model["digits@2" if row.name == "digits@2" else "digits@1"].append(row.logits)
    fine = True
    for model, logits in by_model.items():
        equal = len(set(logits)) == 1
        fine &= equal
        where = (
            "in process and on Triton, over all three carriers" if model == "digits@1" else "over all three carriers"
        )
        verdict = "[green]bit-equal[/]" if equal else "[red]NOT equal[/]"
        console.print(f"Logits of {model} {where}: {verdict} ({len(logits)} x {len(logits[0]) // 4} numbers)")
    return fine


def observed_split(console: Console, asked: Asked) -> bool:
    """The 90/10 route, as it came out."""
    total = sum(asked.split.values())
    shares = ", ".join(f"{name} {count} ({count / total:.1%})" for name, count in sorted(asked.split.items()))
    console.print(f"Route digits-live, 90/10, {total} users: {shares}")
    again = "each met the same version" if not asked.moved else f"[red]{asked.moved} met another version[/]"
    console.print(f"The same {total} users once more: {again}\n")
    return not asked.moved and abs(asked.split.get("digits-1-local", 0) / total - SHARE) < TOLERANCE


def addresses(ports: Ports) -> None:
    """Where to go on from here."""
    elsewhere = "" if ports.http == PENSTOCK_PORTS else f" \\\n    --address http://127.0.0.1:{ports.http}"
    print(
        f"""Serving until Ctrl-C:
  REST   http://127.0.0.1:{ports.http}/v2        metrics at /metrics
  gRPC   127.0.0.1:{ports.grpc}
  admin  http://127.0.0.1:{ports.admin}/docs

Try it:
  curl -s http://127.0.0.1:{ports.http}/v2/models/digits/infer \\
    -d @deploy/examples/requests/digit.json
  .venv/bin/penstock infer intent -f deploy/examples/requests/intent.json{elsewhere}
""",
        flush=True,
    )
