"""Fixtures for all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from tests.emulator.device import EmulatedDevice, emulated_device


@pytest.fixture(scope="session")
def emulator() -> Iterator[EmulatedDevice]:
    """An emulated arm64 device and its adb server, shared by all tests of the session: leave its files as they were."""
    may_run = sys.platform.startswith("linux") and os.geteuid() == 0
    if not may_run and not os.environ.get("CI"):
        pytest.skip("the emulated device needs Linux and root")
    with emulated_device() as device:
        yield device
