from __future__ import annotations

from collections.abc import AsyncIterator
from math import inf

import pytest

from penstock_adapters.adapter import IndexEntry
from penstock_adapters.http1 import HttpClient
from penstock_adapters.protocol.errors import BadBackendAnswer, PenstockError, Unavailable, Unimplemented
from penstock_adapters.triton_grpc import GrpcLeg
from penstock_adapters.triton_repository import GrpcManagement, HttpManagement, model_path, read_index, read_metadata
from tests.support.raw_server import Peer, RawServer, answer, serving


class Scripted:
    """Answers by path; remembers what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.asked: list[tuple[str, bytes]] = []

    async def __call__(self, peer: Peer) -> None:
        while request := await peer.request():
            head, _, body = request.partition(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            self.asked.append((path, body))
            await peer.send(self.answers.get(path, answer(b'{"error":"secret"}', b"404 Not Found")))


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
async def server(scripted: Scripted) -> AsyncIterator[RawServer]:
    async with serving(scripted) as running:
        yield running


@pytest.fixture
async def manage(server: RawServer) -> AsyncIterator[HttpManagement]:
    client = HttpClient(server.url)
    yield HttpManagement(client)
    await client.aclose()


GARBAGE = [b"", b"<html>", b"[1]", b'"text"', b"null", b"\xff", b"[" * 5000]


@pytest.mark.parametrize("body", GARBAGE)
async def test_garbage_is_a_bad_answer_to_every_question(
    manage: HttpManagement, scripted: Scripted, body: bytes
) -> None:
    for path in ("/v2/models/m", "/v2/models/m/config", "/v2/models/m/stats", "/v2/repository/index"):
        scripted.answers[path] = answer(body)

    for question in (
        manage.metadata("m", "", inf),
        manage.config("m", "", inf),
        manage.statistics("m", "", inf),
        manage.index(inf),
    ):
        with pytest.raises(BadBackendAnswer):
            await question


async def test_statistics_that_are_no_list_are_a_bad_answer(manage: HttpManagement, scripted: Scripted) -> None:
    for body in (b"{}", b'{"model_stats":{}}', b'{"model_stats":[1]}'):
        scripted.answers["/v2/models/stats"] = answer(body)
        with pytest.raises(BadBackendAnswer):
            await manage.statistics("", "", inf)


async def test_what_the_server_lacks_is_said_without_its_words(manage: HttpManagement) -> None:
    for question in (manage.config("m", "", inf), manage.load("m", (), inf), manage.unload("m", inf)):
        with pytest.raises(PenstockError) as caught:
            await question
        assert isinstance(caught.value, Unavailable)
        assert "secret" not in caught.value.text


async def test_loading_certain_versions_sends_the_configuration_back_with_that_policy(
    manage: HttpManagement, scripted: Scripted
) -> None:
    scripted.answers["/v2/models/m/config"] = answer(b'{"name":"m","version_policy":{"all":{}},"later":1}')
    scripted.answers["/v2/repository/models/m/load"] = answer()

    await manage.load("m", ("1", "3"), inf)

    body = scripted.asked[-1][1]
    assert b'\\"version_policy\\":{\\"specific\\":{\\"versions\\":[1,3]}}' in body
    assert b'\\"later\\":1' in body


async def test_over_grpc_alone_certain_versions_cannot_be_loaded() -> None:
    leg = GrpcLeg("127.0.0.1:1", body_max=1 << 20)

    with pytest.raises(Unimplemented):
        await GrpcManagement(leg).load("m", ("1",), inf)

    await leg.aclose()


def test_metadata_without_optional_members_is_enough() -> None:
    metadata = read_metadata({"name": "other"}, "m")

    assert (metadata.name, metadata.versions, metadata.platform) == ("m", (), "triton")


@pytest.mark.parametrize("bad", [{"versions": 1}, {"inputs": [{"name": "x"}]}, {"outputs": {}}, {"platform": None}])
def test_metadata_of_another_shape_is_a_bad_answer(bad: dict[str, object]) -> None:
    with pytest.raises(BadBackendAnswer):
        read_metadata(bad, "m")


def test_index_rows_may_lack_everything_but_the_name() -> None:
    rows = [
        {"name": "a", "version": "1", "state": "READY"},
        {"name": "b"},
        {"name": "c", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"},
        {"name": "d", "version": "1", "state": "SURPRISE", "reason": "at /srv/model.py"},
    ]

    assert read_index(rows) == [
        IndexEntry("a", "1", "READY"),
        IndexEntry("b", "", "UNKNOWN"),
        IndexEntry("c", "1", "UNAVAILABLE", "unloaded"),
        IndexEntry("d", "1", "UNKNOWN", "the server could not load it; its log says why"),
    ]


def test_names_are_quoted_in_paths() -> None:
    assert model_path("a/b", "") == "/v2/models/a%2Fb"
    assert model_path("m", "1/2") == "/v2/models/m/versions/1%2F2"
