"""docs/faults.md."""

from __future__ import annotations

import os

import pytest

from tests.faults.table import FAULTS, FILE, HEAD, VARIABLE, written


@pytest.mark.skipif(bool(os.environ.get(VARIABLE)), reason="the table is being written")
def test_the_table_has_every_fault_that_is_tried_and_no_other() -> None:
    assert list(written()) == list(FAULTS.values())
    assert FILE.read_text().startswith(HEAD)
