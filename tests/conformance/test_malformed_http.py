"""Every malformed message: 4xx in the one shape or a closed connection, in 2 s, and the next connection is fine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.edges import RestListener, rest_listener
from tests.support.malformed_http import CASES, GOOD, TRUNCATED, cuts
from tests.support.raw_http import RawConnection, ask

PATIENCE_S = 2.0


@pytest.fixture
async def rest() -> AsyncIterator[RestListener]:
    async with rest_listener() as listener:
        yield listener


def test_the_corpus_is_large_enough() -> None:
    assert len(CASES) * 4 + len(TRUNCATED) >= 400


@pytest.mark.parametrize("name", CASES)
async def test_a_malformed_message_is_refused_however_it_arrives(rest: RestListener, name: str) -> None:
    for number, pieces in enumerate(cuts(CASES[name], seed=len(name))):
        async with await RawConnection.open(rest.port) as connection:
            try:
                for piece in pieces:
                    await connection.send(piece)
                    await asyncio.sleep(0)
            except ConnectionError:
                continue  # Closed on us while we were still sending: a refusal too.
            if number == 3:
                assert (await connection.answer(patience_s=PATIENCE_S)).status == 200
            answer = await connection.answer(patience_s=PATIENCE_S)
            assert answer.status == 0 or 400 <= answer.status < 500, (answer, pieces[:1])
            if answer.status:
                assert list(answer.json) == ["error"]
    assert (await ask(rest.port, GOOD)).status == 200


@pytest.mark.parametrize("name", TRUNCATED)
async def test_a_message_that_ends_too_early_is_dropped(rest: RestListener, name: str) -> None:
    async with await RawConnection.open(rest.port) as connection:
        await connection.send(TRUNCATED[name])
        connection.half_close()
        answer = await connection.answer(patience_s=PATIENCE_S)

    assert answer.status == 0 or 400 <= answer.status < 500
    assert (await ask(rest.port, GOOD)).status == 200
