"""Shared fixtures live in tests/support; here they are exposed to every test."""

from __future__ import annotations

pytest_plugins = [
    "tests.support.triton",
    "tests.support.postgres",
    "tests.support.redis",
    "tests.support.logging_state",
    "tests.support.registries",
    "tests.support.admin",
    "tests.support.scale",
    "tests.support.examples",
    "tests.support.kserve_environment",
]
