"""A small number of cases for each reader; `invoke fuzz` gives them many more."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.guard import Escaped, Guard
from tests.fuzz.readers import readers
from tests.invoking import ROOT, invoke

CASES = "300"


def campaign(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.campaign", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", readers())
def test_a_reader_refuses_what_cannot_be_meant_and_nothing_else_happens(name: str) -> None:
    done = campaign(CASES, "1", name)
    assert done.returncode == 0, done.stdout + done.stderr
    cases, read, refused = map(int, re.findall(r"(\d+) (?:cases|read|refused)", done.stdout.replace(",", "")))
    assert cases == read + refused >= int(CASES)
    # One that refuses everything would be tested by nothing.
    assert read


def test_the_task_gives_all_readers_cases() -> None:
    done = invoke("fuzz", "--cases", "50")
    assert done.code == 0, done.stderr
    assert [line.split(": ")[0] for line in done.stdout.splitlines()[:-1]] != []
    assert done.stdout.count(" refused, ") == len(readers())


HARMFUL = {
    "reads": ("(folder / '..' / 'secret').read_text()", "Escaped"),
    "writes": ("open('/tmp/fuzz-escaped', 'w')", "Escaped"),
    "renames": ("os.rename(folder, folder.parent / 'x')", "Escaped"),
    "starts": ("subprocess.Popen(['/bin/true'])", "Escaped"),
    "loops": ("[None for _ in iter(int, 1)]", "TooSlow|MemoryError"),
    "grows": ("bytearray(2 ** 31)", "MemoryError"),
    "raises": ("{}['x']", "KeyError"),
}


@pytest.mark.parametrize("kind", HARMFUL)
def test_a_reader_that_does_harm_is_found(kind: str) -> None:
    code, error = HARMFUL[kind]
    program = f"""
import os, subprocess, sys
from hypothesis import strategies as st
from tests.fuzz import campaign
from tests.fuzz.readers import Reader
campaign.readers = lambda: {{"it": Reader("it", st.just(1), lambda folder, case: {code}, (ValueError,))}}
sys.exit(campaign.main(["5", "1"]))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert re.match(f"it: ({error}) ", done.stdout), done.stdout + done.stderr
    assert not Path("/tmp/fuzz-escaped").exists()


def test_what_happens_within_the_folder_is_no_harm(tmp_path: Path) -> None:
    guard = Guard(tmp_path)
    with guard.watching():
        (guard.folder / "a").write_text("a")
        assert (guard.folder / "a").read_text() == "a"
    with pytest.raises(Escaped), guard.watching():
        (guard.folder.parent / "secret").read_text()
