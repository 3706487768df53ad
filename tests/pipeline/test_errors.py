"""What a message says of the commands to type next."""

from __future__ import annotations

import sys

import pytest

from pipeline.errors import as_typed

MESSAGE = "run `invoke package` first, or `invoke emulator.start` in a checkout"


def test_a_message_names_the_program_that_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/train-on-device", "train"])
    assert as_typed(MESSAGE) == "run `train-on-device package` first, or `invoke emulator.start` in a checkout"
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/invoke", "train"])
    assert as_typed(MESSAGE) == MESSAGE
