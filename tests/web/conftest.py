"""A browser for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.web.chromium import Chromium, chromium, program


@pytest.fixture(scope="session")
def browser_here() -> str:
    """The program."""
    found = program()
    if not found and not os.environ.get("CI"):
        pytest.skip("no browser is on this machine")
    assert found, "no browser: apt-get install chromium"
    return found


@pytest.fixture(scope="module")
def browser(browser_here: str) -> Iterator[Chromium]:
    """One for the tests of a module."""
    with chromium(browser_here) as opened:
        yield opened
