"""One supervisor, N worker processes: started by fork, restarted when they die, stopped together, waited for by pid.

The supervisor serves nothing and starts no thread, so forking it is safe at any time; it only waits for signals. Workers
get their listening sockets from it, so that a worker's death loses none of the connections that wait for it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

PERMANENT: Final = 78
"""A worker's exit code for what a restart will not mend (EX_CONFIG); the supervisor stops with it."""
QUICK_S: Final = 5.0
"""A worker that dies younger than this is restarted after a pause that doubles."""
PAUSE_MIN_S: Final = 0.1
PAUSE_MAX_S: Final = 5.0
KILL_AFTER_S: Final = 5.0
"""On top of the drain's own patience."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


class WorkerSeat(msgspec.Struct, frozen=True):
    """What a worker is told. `key` is unique for the run; `parent` is a pipe that ends with the supervisor."""

    index: int
    key: str
    parent: int


class _Running(msgspec.Struct):
    seat: WorkerSeat
    started: float


class Supervisor:
    """Runs `work(seat)` in `count` processes; its result is the exit code. `gone` is told each dead worker's key."""

    def __init__(
        self,
        count: int,
        work: Callable[[WorkerSeat], int],
        log: structlog.stdlib.BoundLogger,
        *,
        gone: Callable[[str], None],
        stopping: Callable[[], None],
        patience_s: float,
    ) -> None:
        self._count = count
        self._work = work
        self._log = log
        self._gone = gone
        self._stopping = stopping
        self._patience_s = patience_s
        self._running: dict[int, _Running] = {}
        self._due: dict[int, float] = {}
        """Seats to fill -> when."""
        self._pause_s: dict[int, float] = {}
        self._parent, self._alive = os.pipe()
        self._code = 0

    def run(self) -> int:
        """Until SIGTERM or SIGINT. Returns 0 if every worker ended well."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        now = time.monotonic()
        self._due = dict.fromkeys(range(self._count), now)
        while not self._code:
            self._fill_seats()
            if self._wait(self._next_due()) in {signal.SIGTERM, signal.SIGINT}:
                break
            self._reap(restart=True)
        self._stop()
        return self._code

    def _next_due(self) -> float:
        return min(self._due.values(), default=time.monotonic() + 3600) - time.monotonic()

    def _wait(self, seconds: float) -> int:
        """The signal that came, 0 if none did in time. SIGCHLDs that come together are one."""
        found = signal.sigtimedwait(_SIGNALS, max(seconds, 0))
        return found.si_signo if found is not None else 0

    def _fill_seats(self) -> None:
        now = time.monotonic()
        for index in [index for index, due in self._due.items() if due <= now]:
            del self._due[index]
            seat = WorkerSeat(index, f"{time.time_ns()}-{index}", self._parent)
            pid = os.fork()
            if pid == 0:
                self._become_worker(seat)
            self._running[pid] = _Running(seat, now)

    def _become_worker(self, seat: WorkerSeat) -> None:
        """In the child: never returns, and never runs what the parent has still to do."""
        code = 1
        try:
            os.close(self._alive)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            code = self._work(seat)
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 1
        except BaseException as error:
            self._log.error("worker_failed", worker=seat.index, exc_info=error)
            raise
        finally:
            os._exit(code)

    def _reap(self, *, restart: bool) -> None:
        for pid in list(self._running):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self._bury(pid, os.waitstatus_to_exitcode(status), restart=restart)

    def _bury(self, pid: int, code: int, *, restart: bool) -> None:
        worker = self._running.pop(pid)
        index = worker.seat.index
        self._gone(worker.seat.key)
        if not restart:
            self._code = self._code or (1 if code else 0)
            return
        if code == PERMANENT:
            self._log.error("worker_cannot_start", worker=index)
            self._code = PERMANENT
            return
        now = time.monotonic()
        quick = now - worker.started < QUICK_S
        pause_s = min(self._pause_s.get(index, PAUSE_MIN_S / 2) * 2, PAUSE_MAX_S) if quick else PAUSE_MIN_S
        self._pause_s[index] = pause_s
        self._due[index] = now + pause_s
        self._log.warning("worker_died", worker=index, pid=pid, code=code, restart_in_s=pause_s)

    def _stop(self) -> None:
        """Every worker drains; one that takes longer than it may is killed, a second signal kills all."""
        self._stopping()
        self._signal(signal.SIGTERM)
        end = time.monotonic() + self._patience_s + KILL_AFTER_S
        while self._running:
            left = end - time.monotonic()
            if left <= 0 or self._wait(left) in {signal.SIGTERM, signal.SIGINT}:
                self._log.warning("workers_killed", count=len(self._running))
                self._signal(signal.SIGKILL)
                end = time.monotonic() + KILL_AFTER_S
            self._reap(restart=False)
        os.close(self._alive)
        os.close(self._parent)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._running:
            os.kill(pid, number)  # Not reaped yet, so the pid is still theirs.
