"""What this machine lacks: an interpreter, pip, a network, room, Debian's tools."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.doctor import debian_packages, host
from pipeline.doctor.finding import State
from pipeline.doctor.project import Project
from pipeline.machine.ports import free_port
from pipeline.packing.debian import MIRROR_VARIABLE


def test_another_python_is_refused_with_the_ones_that_are_taken() -> None:
    assert host.interpreter(Project(">=3.11,<3.13", (), None)).state is State.OK
    old = host.interpreter(Project(">=3.5,<3.8", (), None))
    assert old.state is State.FIX
    assert sys.executable in old.said and ">=3.5,<3.8 is needed" in old.said


def test_another_processor_is_in_the_way_of_a_run_here_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert host.processor(needed=True).state is State.FIX
    assert host.processor(needed=False).state is State.NOTE


def test_without_a_network_pip_cannot_bring_the_wheels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free_port()}/simple")
    # Nor from an earlier time.
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    offline = host.pip_works(tmp_path / "runtime-x86")
    assert offline.state is State.FIX
    assert "PIP_INDEX_URL" in offline.mend
    (tmp_path / "runtime-x86").mkdir()
    assert host.pip_works(tmp_path / "runtime-x86").state is State.NOTE


def test_a_full_disk_and_a_folder_that_is_none_are_named(tmp_path: Path) -> None:
    assert host.room(tmp_path / "build", 1, "--build").state is State.OK
    assert not (tmp_path / "build").exists()
    full = host.room(tmp_path / "build", 2**70, "--build")
    assert full.state is State.FIX
    assert "GB are needed" in full.said
    (tmp_path / "file").touch()
    file = host.room(tmp_path / "file", 1, "--runs")
    assert file.state is State.FIX
    assert "is a file, not a folder" in file.said


def test_without_debians_tools_the_packages_that_have_them_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    [missing] = debian_packages.examine("arm64", needed=True)
    assert missing.said == "apt-get, apt-cache, dpkg-deb not on PATH"
    assert missing.mend.startswith("apt install apt dpkg")


def test_a_mirror_that_does_not_answer_is_told_from_one_without_the_architecture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [finding.state for finding in debian_packages.examine("arm64", needed=True)] == [State.OK, State.OK]
    absent = debian_packages.examine("pdp11", needed=True)[-1]
    assert absent.state is State.FIX
    assert "for pdp11 cannot be had" in absent.said and "404" in absent.said
    monkeypatch.setenv(MIRROR_VARIABLE, f"http://127.0.0.1:{free_port()}/debian")
    silent = debian_packages.examine("arm64", needed=False)[-1]
    assert silent.state is State.NOTE
    assert "Could not connect" in silent.said
    assert MIRROR_VARIABLE in silent.mend
