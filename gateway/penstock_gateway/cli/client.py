"""The command line's HTTP: one request, one answer, standard library only, so that a command starts at once."""

from __future__ import annotations

import getpass
import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from penstock_gateway.cli.exits import Exit, exit_for, fail, warn

TIMEOUT_S: Final = 300.0
PAGE: Final = 1000


HINTS: Final[Mapping[str, str]] = {
    "resource_not_found": "`penstock get all` lists what there is; names are case-sensitive",
    "snapshot_not_found": "`penstock snapshots` lists the snapshots there are",
    "revision_conflict": "look at it again with `penstock diff`, then repeat the change",
    "registry_conflict": "look at it again with `penstock diff`, then repeat the change",
    "reference_missing": "apply what is referred to first, or both together",
    "reference_in_use": "delete or change the users first",
    "request_invalid": "mend each field named above",
    "parameter_invalid": "see the command's --help",
    "model_not_found": "`penstock get models` and `penstock get routes` list what can be called",
    "version_not_found": "`penstock describe model NAME` shows its versions",
    "model_not_ready": "`penstock get deployments` shows what it waits for",
    "store_unavailable": "predictions go on from the last good snapshot; check the database with `penstock doctor`",
}
"""Reason -> what to do, in words of the command line; for other reasons the server's own hint is printed."""


class Answer(NamedTuple):
    """A successful answer. `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """The body as a JSON object; ends the command if it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            fail(Exit.FAILED, "the answer is not the JSON of Penstock", "is another program listening on that port?")
        return value


class Client:
    """Talks to one address. Every failure ends the command with the exit code of its kind."""

    def __init__(self, base: str, *, what: str, flag: str, timeout_s: float = TIMEOUT_S) -> None:
        """base: http://host:port. what and flag: how it is called in messages, and the option that sets it."""
        parts = urlsplit(base if "//" in base else f"http://{base}")
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
            fail(Exit.USAGE, f"{flag} {base}: not an address", f"write {flag} http://host:port")
        self._https = parts.scheme == "https"
        self._host, self._port, self._prefix = parts.hostname, port, parts.path.rstrip("/")
        self._base, self._what, self._flag, self._timeout_s = base, what, flag, timeout_s

    def get(self, path: str, **query: str | int) -> dict[str, object]:
        """The JSON object at `path`."""
        return self.call("GET", path, query=query).json()

    def send(
        self, method: str, path: str, value: object, headers: Mapping[str, str] | None = None
    ) -> dict[str, object]:
        """Send JSON, get JSON; the change is signed with the name of who is logged in."""
        body = None if value is None else json.dumps(value, ensure_ascii=False).encode()
        made = {"x-penstock-author": author(), **(headers or {})}
        if body is not None:
            made["content-type"] = "application/json"
        return self.call(method, path, body=body, headers=made).json()

    def items(self, plural: str, selector: str = "") -> Iterator[dict[str, object]]:
        """Every resource of a collection, page by page."""
        after = ""
        while True:
            page = self.get(f"/v1/{plural}", limit=PAGE, after=after, selector=selector)
            items = page.get("items")
            yield from items if isinstance(items, list) else []
            after = str(page.get("next") or "")
            if not after:
                return

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request. An error status ends the command with the server's own text and hint."""
        target = self._prefix + path + (f"?{urlencode(query)}" if query else "")
        kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
        connection = kind(self._host or "", self._port, timeout=self._timeout_s)
        try:
            connection.request(method, target, body=body, headers={k: _line(v) for k, v in (headers or {}).items()})
            response = connection.getresponse()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except TimeoutError:
            fail(Exit.UNREACHABLE, f"{self._what} at {self._base} did not answer within {self._timeout_s:.0f} s")
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            words = _why(error)
            hint = f"start it with `penstock serve`, or name another address with {self._flag}"
            fail(Exit.UNREACHABLE, f"{self._what} at {self._base} cannot be reached: {words}", hint)
        finally:
            connection.close()
        if answer.status >= 400:
            refuse(answer)
        return answer


def refuse(answer: Answer) -> None:
    """End the command with the text, the problems and the hint of an error answer."""
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"error": f"HTTP status {answer.status}"}
    problems = document.get("problems")
    for problem in problems if isinstance(problems, list) else []:
        warn(f"{problem.get('path')}: {problem.get('text')}" if problem.get("path") else str(problem.get("text")))
    reason = str(document.get("reason") or answer.headers.get("penstock-reason", ""))
    fail(exit_for(answer.status), str(document.get("error", "")), HINTS.get(reason) or str(document.get("hint", "")))


def _line(value: str) -> bytes:
    """A header's value: a reason may be written over several lines, a header is one."""
    return " ".join(value.split()).encode()


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "there can be no host of that name"
    if isinstance(error, ConnectionError | http.client.IncompleteRead) and not getattr(error, "strerror", None):
        return "it closed the connection without an answer"
    return getattr(error, "strerror", None) or "the answer is not HTTP"


def author() -> str:
    """Who is logged in, for the history."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def escaped(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")
