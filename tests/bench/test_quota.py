from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.bench import cpu, quota

SPIN = "while True: pass"


def test_a_limited_process_gets_its_share_and_no_more() -> None:
    with subprocess.Popen([sys.executable, "-c", SPIN]) as process:
        try:
            with quota.limited([process.pid], 0.2):
                started, before = time.monotonic(), cpu.process_ns(process.pid)
                time.sleep(0.5)
                used, passed = (cpu.process_ns(process.pid) - before) / 1e9, time.monotonic() - started
        except quota.NoQuota as error:
            pytest.skip(str(error))
        finally:
            process.kill()

    # A share of the time that passed, so a slow machine changes nothing.
    assert used <= 0.3 * passed
