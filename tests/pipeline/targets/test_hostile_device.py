"""A device that lies about its results, or floods the host: the named error, and nothing is written."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pipeline.errors import TargetError
from pipeline.packing.abi import ARM64
from pipeline.targets import device
from pipeline.targets.adb.adb import Result
from pipeline.targets.adb.lines import Lines
from pipeline.targets.device import AdbTarget, package_on_device
from tests.pipeline.targets.stand_in import StandIn, content_of

CONTENT = b"weights\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Liar(StandIn):
    """Lists what it likes; everything else it does as it is told."""

    def __init__(self, listing: str) -> None:
        super().__init__()
        self.listing = listing

    def execute(self, command: str, **options: Any) -> Result:
        """See `Adb`."""
        if command.startswith("cd "):
            return Result(0, self.listing.encode(), b"")
        return super().execute(command, **options)


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output folder on the device, which holds one file."""
    monkeypatch.setattr(device, "BASE", PurePosixPath(tmp_path / "device"))
    folder = Path(package_on_device(ARM64)) / "output"
    folder.mkdir(parents=True)
    (folder / "good").write_bytes(CONTENT)
    return folder


def refusal(listing: str, into: Path) -> str:
    """The error of a pull, before which and after which there is nothing of the device's on the host."""
    with pytest.raises(TargetError) as caught:
        AdbTarget(Liar(listing), ARM64).pull(into / "results")
    assert not any(path.name == "evil" for path in into.rglob("*"))
    assert not (into / "results").exists()
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["../../evil", "/tmp/evil", "..", "a/evil", "-evil", ".evil", "evil\r", "a\\evil", "evil\x1b[31m", "é" * 128, ""],
)
def test_a_name_that_is_no_plain_one_is_refused_before_anything_is_pulled(
    output: Path, tmp_path: Path, name: str
) -> None:
    message = refusal(f"{DIGEST} {len(CONTENT)} good\n{DIGEST} {len(CONTENT)} {name}\n", tmp_path)
    assert "nothing was pulled" in message
    assert message.isprintable()


@pytest.mark.parametrize(
    "line",
    [
        f"{DIGEST} -1 evil",
        f"{DIGEST} 1e3 evil",
        f"{DIGEST} {'9' * 19} evil",
        f"{DIGEST} ² evil",
        f"{DIGEST.upper()} 8 evil",
        f"{DIGEST} 8 good\n{DIGEST} 8 good",
        "evil",
        "",
    ],
)
def test_a_line_that_is_no_file_is_refused(output: Path, tmp_path: Path, line: str) -> None:
    assert "nothing was pulled" in refusal(f"{line}\n", tmp_path)


def test_a_size_that_no_disk_here_can_take_is_refused(output: Path, tmp_path: Path) -> None:
    message = refusal(f"{DIGEST} 8 good\n{DIGEST} {2**50} evil\n", tmp_path)
    assert "results are 1,073,741,824 MiB as it says" in message
    assert "nothing was pulled; make room" in message


def test_no_byte_more_than_was_listed_is_written(output: Path, tmp_path: Path) -> None:
    device = Liar(f"{DIGEST} 8 good\n")
    executed = device.execute

    def endless(command: str, **options: Any) -> Result:
        return executed("yes" if command.startswith("cat") else command, **options)

    device.execute = endless  # type: ignore[method-assign]
    with pytest.raises(TargetError, match="good arrived damaged: run `invoke pull` again"):
        AdbTarget(device, ARM64).pull(tmp_path / "results")
    assert content_of(tmp_path / "results") == {}


def test_what_it_lists_truly_is_pulled(output: Path, tmp_path: Path) -> None:
    AdbTarget(Liar(f"{DIGEST} {len(CONTENT)} good\n"), ARM64).pull(tmp_path / "results")
    assert content_of(tmp_path / "results") == {"good": CONTENT}


def test_a_file_whose_name_has_two_lines_is_refused_and_the_others_do_not_arrive(output: Path, tmp_path: Path) -> None:
    (output / "a\nevil").write_bytes(CONTENT)
    with pytest.raises(TargetError, match="nothing was pulled"):
        AdbTarget(StandIn(), ARM64).pull(tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_names_with_blanks_quotes_and_commands_are_pulled_as_they_are(output: Path, tmp_path: Path) -> None:
    names = {"it's", "$(touch evil)", "a;b", '"x" *', "`id`", "ümlaut"}
    for name in names:
        (output / name).write_bytes(CONTENT)
    AdbTarget(StandIn(), ARM64).pull(tmp_path / "results")
    assert content_of(tmp_path / "results").keys() == names | {"good"}
    assert not list(tmp_path.rglob("evil"))


def test_lines_of_a_job_are_no_commands_to_the_terminal_and_end() -> None:
    lines: list[str] = []
    taken = Lines(lines.append)
    taken.take(b"100:\tLoss is 0.5\n\x1b]52;c;ZXZpbA==\x07\xff\n" + b"x" * 2**20)
    assert lines[:2] == ["100:\tLoss is 0.5", "\\x1b]52;c;ZXZpbA==\\x07�"]
    taken.take(b"x")
    assert sum(map(len, lines[2:])) >= 2**20
