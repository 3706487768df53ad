"""Debian's packages are those that are pinned; what its mirror replaced is said, what is something else is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from device_runtime.formats.manifest import Version
from pipeline.errors import PackageError
from pipeline.packing import pins
from pipeline.packing.abi import ABIS, ARM64, X86_64, Abi
from pipeline.packing.debian import parse_records
from pipeline.packing.pins import changes, check_digests, fetch_pinned, pins_of, read_pins, renew
from pipeline.packing.runtime import read_rules

# The smallest of the runtime's packages.
NAME = "libffi8"

RECORDS = """\
Package: libc6
Version: 2.41-13
Description: GNU C Library
 Contains the standard libraries.
SHA256: ab
Description-md5: 00

Package: libc6
Version: 2.41-12
SHA256: cd

Package: zlib1g
Version: 1:1.3
SHA256: ef

"""


@pytest.fixture
def pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the pins for arm64, in the place of the project's."""
    monkeypatch.setattr(pins, "PACKAGING", tmp_path)
    return pins_of(ARM64)


@pytest.mark.parametrize("abi", ABIS, ids=lambda abi: abi.debian)
def test_the_pins_are_those_of_the_runtimes_packages(abi: Abi) -> None:
    pinned = read_pins(abi)
    assert list(pinned) == list(read_rules().packages)
    assert all(pin.version and re.fullmatch("[0-9a-f]{64}", pin.sha256) for pin in pinned.values())


def test_versions_are_read_of_apts_records_in_their_order() -> None:
    assert parse_records(RECORDS) == {
        "libc6": [Version("2.41-13", "ab"), Version("2.41-12", "cd")],
        "zlib1g": [Version("1:1.3", "ef")],
    }
    assert parse_records("") == {}


def test_what_changed_is_named_with_both_versions() -> None:
    before = {"a": Version("1", "x"), "b": Version("1", "x"), "c": Version("1", "x")}
    after = {"a": Version("2", "y"), "b": Version("1", "x"), "d": Version("3", "z")}
    assert changes(before, after) == ["a 1 by 2", "c 1 by nothing", "d nothing by 3"]


def test_archives_that_are_something_else_or_missing_are_all_named(tmp_path: Path) -> None:
    archive = tmp_path / "libc6_2.41-12_arm64.deb"
    archive.write_text("other")
    expected = {"libc6": Version("2.41-12", "ab"), "zlib1g": Version("1:1.3", "ef")}
    with pytest.raises(
        PackageError, match=r"libc6 2\.41-12, zlib1g 1:1\.3 of this mirror has another SHA-256 than .*pins"
    ):
        check_digests(Path("pins"), expected, [archive])


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_a_package_without_a_pin_names_the_command_that_pins_it(pin: Path, text: str) -> None:
    pin.write_text(text)
    with pytest.raises(PackageError, match=r"does not pin libc6, libffi8: run `invoke pins`"):
        fetch_pinned(ARM64, ["libc6", NAME], pin.parent)


@pytest.mark.parametrize("text", ["[", '"libc6" = 1\n', '"libc6" = { version = "1" }\n', '"libc6" = { size = 1 }\n'])
def test_pins_that_cannot_be_read_are_one_error(pin: Path, text: str) -> None:
    pin.write_text(text)
    with pytest.raises(PackageError, match=r"debian-arm64\.toml cannot be read .*run `invoke pins`"):
        read_pins(ARM64)


@pytest.mark.slow
def test_the_pinned_version_is_fetched_alone_and_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    versions, archives = fetch_pinned(ARM64, [NAME], tmp_path)
    expected = read_pins(ARM64)[NAME]
    assert versions == {NAME: expected}
    assert [archive.name for archive in archives] == [f"{NAME}_{expected.version}_arm64.deb"]
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_a_version_that_the_mirror_has_no_more_gives_way_to_the_newest_and_a_line(
    pin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pin.write_text(f'"{NAME}" = {{ version = "3.0-1", sha256 = "{"0" * 64}" }}\n')
    versions, archives = fetch_pinned(ARM64, [NAME], pin.parent)
    check_digests(pin, versions, archives)
    newest = versions[NAME].version
    assert newest != "3.0-1"
    assert capsys.readouterr().err == f"Debian replaced {NAME} 3.0-1 by {newest}: run `invoke pins` to record it\n"


@pytest.mark.slow
def test_another_content_of_the_same_version_is_an_error(pin: Path, tmp_path: Path) -> None:
    version = renewed(pin)[NAME].version
    pin.write_text(f'"{NAME}" = {{ version = "{version}", sha256 = "{"0" * 64}" }}\n')
    with pytest.raises(PackageError, match=rf"{NAME} {re.escape(version)} of this mirror has another SHA-256"):
        fetch_pinned(ARM64, [NAME], tmp_path)


@pytest.mark.slow
def test_renewed_pins_are_what_the_mirror_has(pin: Path) -> None:
    assert list(renewed(pin)) == list(read_pins(X86_64)) == list(read_rules().packages)
    assert renew() == []


@pytest.mark.slow
def test_a_package_that_the_mirror_lacks_is_named_and_the_pins_stay(pin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin.write_text("# as it was\n")
    rules = replace(read_rules(), packages=(NAME, "no-such-package"))
    monkeypatch.setattr(pins, "read_rules", lambda: rules)
    with pytest.raises(PackageError, match="the mirror has no no-such-package for arm64 in trixie"):
        renew()
    assert pin.read_text() == "# as it was\n"


def renewed(pin: Path) -> dict[str, Version]:
    renew()
    assert pin.is_file()
    return read_pins(ARM64)
