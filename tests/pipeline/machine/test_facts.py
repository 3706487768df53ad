"""What this machine says of itself, and device.json."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from device_runtime.formats.errors import FormatError
from pipeline.machine.facts import FILE_NAME, MachineFacts, facts_of_this_machine, read_facts, write_facts

PHONE = MachineFacts("Google Pixel 7", "Android 14 (API 34)", "arm64-v8a", "Google GS201", 8, 2**33, "R58M")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_facts(tmp_path) is None
    write_facts(tmp_path, PHONE)
    assert read_facts(tmp_path) == PHONE


@pytest.mark.parametrize("text", ["", "{}", '{"model": 1}', "[]", "\udcff"], ids=repr)
def test_a_damaged_record_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text, errors="surrogateescape")
    with pytest.raises(FormatError, match=r"device\.json is damaged \("):
        read_facts(tmp_path)


def test_this_machine_tells_its_processor_cores_and_memory() -> None:
    facts = facts_of_this_machine()
    assert facts.cores == os.cpu_count()
    assert facts.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert facts.system
    assert facts.abi == os.uname().machine
    assert facts.serial == ""


def test_a_machine_that_tells_nothing_has_empty_facts(tmp_path: Path) -> None:
    facts = facts_of_this_machine(tmp_path)
    assert (facts.model, facts.processor, facts.memory_bytes) == ("", "", None)
