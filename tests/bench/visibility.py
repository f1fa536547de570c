"""How long after its acknowledgement a change is seen by every worker."""

from __future__ import annotations

import http.client
import time
from typing import Final

from tests.bench import manifests
from tests.bench.penstock import Penstock

CONNECTIONS: Final = 32
"""Each stays with the worker that accepted it; that one of two workers got none of them has odds of one in 2^31."""
GIVE_UP_S: Final = 30.0


def seconds_until_seen(ours: Penstock, number: int) -> float:
    """Create the model n<number>; seconds from the answer of the admin API until no connection answers 404 for it."""
    name = f"n{number}"
    connections = [http.client.HTTPConnection("127.0.0.1", ours.rest.port, timeout=5) for _ in range(CONNECTIONS)]
    try:
        assert not any(_knows(connection, name) for connection in connections)
        ours.apply(manifests.model(name, "upstream", manifests.SIGNATURES["digits"]))
        acknowledged = time.perf_counter()
        waiting = connections
        while waiting and time.perf_counter() - acknowledged < GIVE_UP_S:
            waiting = [connection for connection in waiting if not _knows(connection, name)]
        return time.perf_counter() - acknowledged
    finally:
        for connection in connections:
            connection.close()


def _knows(connection: http.client.HTTPConnection, name: str) -> bool:
    connection.request("GET", f"/v2/models/{name}")
    answer = connection.getresponse()
    answer.read()
    return answer.status != 404
