"""SIGTERM under load: what was accepted is answered, and answered right; readiness goes first; the drain has an end.

A request counts as accepted as soon as one byte of it may have been written. Not accepted is only a request for which no
connection could be made, and one that a client keeps back because the server said that it closes (`Connection: close` on
the answer before, GOAWAY over gRPC). So a connection that is made and then reset, or an answer other than the right one,
is a failure, and there must be none.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.examples import manifests_for
from tests.support.load import HANG_S, Load, Outcome, about_digits, about_fakes, fake_models, loaded
from tests.support.penstock import Penstock, penstock
from tests.support.scale import Measured, Scale

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]  # --full takes its time

SLOW_MS = 400
"""A model slow enough to be in flight when the listeners close."""


async def serve(directory: Path, workers: int) -> Penstock:
    """The product with the digits and a slow model, ready."""
    manifests = manifests_for(None, directory / "manifests")
    slow = "---\n".join(json.dumps(row) + "\n" for row in fake_models("slow", ["slow"], delay_ms=SLOW_MS))
    (manifests / "slow.yaml").write_text(slow)
    product = Penstock(directory, "--workers", str(workers))
    await asyncio.to_thread(product.start)
    await asyncio.to_thread(product.apply, manifests)
    await asyncio.to_thread(product.wait_ready, "digits", "slow")
    return product


async def watched(product: Penstock) -> list[tuple[int, int]]:
    """(readiness, liveness) as a load balancer sees them, on new connections, until there are none to be had."""
    seen: list[tuple[int, int]] = []
    while True:
        answers = [await asyncio.to_thread(product.get, f"/v2/health/{what}") for what in ("ready", "live")]
        if 0 in {answer.status for answer in answers}:
            return seen
        seen.append((answers[0].status, answers[1].status))
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 2])
async def test_every_accepted_request_is_answered(
    tmp_path: Path, workers: int, scale: Scale, measured: Measured
) -> None:
    enough, total = scale(1_500, 12_000), 0
    product = await serve(tmp_path, workers)
    try:
        while total < enough:
            if not product.running:
                await asyncio.to_thread(product.start)
                await asyncio.to_thread(product.wait_ready, "digits", "slow")
            async with loaded(Load(until_turned_away=True)) as load:
                load.start(product, about_digits(), rest=8, grpc_=4)
                load.start(product, about_fakes("slow"), rest=8, grpc_=4)
                await load.asked(700)
                watching = asyncio.create_task(watched(product))
                product.terminate()
                tally = await load.ended()
                seen = await watching
            code = await asyncio.to_thread(product.ended)
            total += tally.asked

            assert tally.problems == []
            assert tally.counts == {Outcome.OK: tally.asked, Outcome.TURNED_AWAY: 24}
            assert seen[-1] == (503, 200), "readiness goes before anybody is turned away, liveness stays"
            assert code == 0
            measured(f"{workers} workers: {tally}; {len(seen)} looks at readiness")
    finally:
        product.kill()


async def test_what_does_not_end_is_cut_at_the_end_of_the_patience(tmp_path: Path, measured: Measured) -> None:
    rows = [*fake_models("hung", ["hung"], delay_ms=HANG_S * 1000), *fake_models("slow", ["slow"], delay_ms=SLOW_MS)]
    (tmp_path / "hung.yaml").write_text("---\n".join(json.dumps(row) + "\n" for row in rows))
    with penstock(tmp_path / "run", "--set", "drain_seconds=2") as product:
        product.apply(tmp_path / "hung.yaml")
        await asyncio.to_thread(product.wait_ready, "hung", "slow")
        async with loaded(Load(until_turned_away=True)) as hung, loaded(Load(until_turned_away=True)) as slow:
            hung.start(product, about_fakes("hung"), rest=2, grpc_=2)
            slow.start(product, about_fakes("slow"), rest=2, grpc_=2)
            await slow.asked(8)
            product.terminate()
            code = await asyncio.to_thread(product.ended, HANG_S / 2)
            cut, answered = await hung.ended(), await slow.ended()

    assert code == 1  # what was cut is not hidden
    assert cut.counts == {Outcome.FAILED: 4, Outcome.TURNED_AWAY: 4}
    assert answered.problems == []
    measured(f"cut: {cut}; others: {answered}")
