"""The last good snapshot on disk: what a gateway serves from when it starts while the database is down.

One header line, then one line for each resource: [kind, revision, manifest]. The header holds the format, the revision,
the number of lines and the SHA-256 of everything after it. Written beside the old file and renamed over it, so a crash
leaves the old or the new one, never half of one.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from penstock_adapters.protocol.errors import PenstockError
from penstock_registry.kinds import Resource
from penstock_registry.manifest import decode, encode
from penstock_registry.snapshot import Key, Snapshot

FORMAT: Final = "penstock-snapshot/1"
QUIET_S: Final = 1.0
SHARE: Final = 10
"""Writing takes at most about one part in so many of the time."""


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    revision: int
    count: int
    sha256: str


class _Line(msgspec.Struct, array_like=True):
    kind: str
    revision: int
    manifest: msgspec.Raw


def save(path: Path, snapshot: Snapshot) -> None:
    """Write the file, durably and atomically. Blocks; raises OSError."""
    lines = [
        msgspec.json.encode(_Line(resource.kind, resource.revision, msgspec.Raw(encode(resource).encode())))
        for resource in snapshot.resources.values()
    ]
    body = b"".join(line + b"\n" for line in lines)
    header = _Header(FORMAT, snapshot.revision, len(lines), sha256(body).hexdigest())
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(header) + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except OSError:
        Path(beside).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def load(path: Path, report: Callable[[str], None] | None = None) -> Snapshot | None:
    """The snapshot in the file; None if there is none or it is damaged, and then `report` hears why. Blocks."""
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        problem = "there is no snapshot file yet"
    except OSError as error:
        problem = f"the snapshot file cannot be read ({error.strerror})"
    except (ValueError, msgspec.MsgspecError, PenstockError) as error:
        problem = f"the snapshot file is damaged ({error})"
    if report is not None:
        report(problem)
    return None


def _parsed(content: bytes) -> Snapshot:
    head, _, body = content.partition(b"\n")
    header = msgspec.json.decode(head, type=_Header)
    if header.format != FORMAT:
        raise ValueError(f"its format is {header.format}, not {FORMAT}")
    if sha256(body).hexdigest() != header.sha256:
        raise ValueError("its content does not match its SHA-256")
    resources: dict[Key, Resource] = {}
    decoder = msgspec.json.Decoder(_Line)
    for line in body.split(b"\n")[:-1]:
        parts = decoder.decode(line)
        resource = decode(parts.kind, bytes(parts.manifest).decode(), parts.revision)
        resources[resource.key] = resource
    if len(resources) != header.count:
        raise ValueError(f"it holds {len(resources)} resources, not {header.count}")
    return Snapshot(header.revision, MappingProxyType(resources))


class SnapshotFile:
    """Keeps the file up to date, in a thread and not too often: of many snapshots in a second only the last is written."""

    def __init__(self, path: Path, *, quiet_s: float = QUIET_S) -> None:
        self._path = path
        self._quiet_s = quiet_s
        self._offered: Snapshot | None = None
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self.revision = -1
        """The snapshot in the file, as far as we wrote it."""
        self.problem = ""
        """Why the last write failed, or ""."""

    def offer(self, snapshot: Snapshot) -> None:
        """Write this one soon, unless a newer one is offered before."""
        self._offered = snapshot
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._soon())

    async def _soon(self) -> None:
        rest_s = self._quiet_s
        while self._offered is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), rest_s)
            started = time.monotonic()
            await self._write()
            rest_s = max(self._quiet_s, SHARE * (time.monotonic() - started))

    async def _write(self) -> None:
        snapshot, self._offered = self._offered, None
        if snapshot is None:
            return
        try:
            await asyncio.to_thread(save, self._path, snapshot)
        except OSError as error:
            self.problem = error.strerror or type(error).__name__
        else:
            self.problem = ""
            self.revision = snapshot.revision

    async def aclose(self) -> None:
        """Write what was offered last, and stop."""
        self._closing.set()
        if self._writing is not None:
            await self._writing
