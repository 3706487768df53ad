"""Each of MNIST's files, damaged in each way, is named; nothing half-written stays."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import pytest

from pipeline.datasets.convert import convert
from pipeline.datasets.layouts import idx
from pipeline.errors import DatasetError
from tests.pipeline.datasets.mnist import FILES, write_mnist


def refusal(folder: Path) -> str:
    """The error's one line; nothing may stay in the build folder."""
    build = folder.parent / "build"
    with pytest.raises(DatasetError) as caught:
        convert(folder, build)
    assert not build.exists() or not list(build.iterdir())
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kept", [0, 3, 7, 8, 15, 25])
def test_a_file_cut_short_is_named(tmp_path: Path, name: str, kept: int) -> None:
    write_mnist(tmp_path / "in")
    path = tmp_path / "in" / name
    path.write_bytes(path.read_bytes()[:kept])
    assert name in refusal(tmp_path / "in")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("left", [0.0, 0.02, 0.5, 0.999])
def test_a_gz_that_ends_early_is_named(tmp_path: Path, name: str, left: float) -> None:
    write_mnist(tmp_path / "in", suffix=".gz")
    path = tmp_path / "in" / f"{name}.gz"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * left)])
    assert f"{name}.gz" in refusal(tmp_path / "in")


def test_a_gz_with_a_flipped_byte_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path / "in", suffix=".gz")
    path = tmp_path / "in" / f"{FILES[0]}.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert f"{FILES[0]}.gz is a damaged or cut .gz" in refusal(tmp_path / "in")


def test_raw_content_under_a_gz_name_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path / "in", suffix=".gz")
    path = tmp_path / "in" / f"{FILES[1]}.gz"
    path.write_bytes(gzip.decompress(path.read_bytes()))
    assert f"{FILES[1]}.gz is a damaged" in refusal(tmp_path / "in")


def test_sizes_whose_product_is_2_to_the_64_are_no_empty_file(tmp_path: Path) -> None:
    write_mnist(tmp_path / "in")
    (tmp_path / "in" / FILES[0]).write_bytes(struct.pack(">4I", 2051, 2**31, 2**31, 4))
    assert f"{FILES[0]} has 16 bytes, its header says 18446744073709551632" in refusal(tmp_path / "in")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((6, 28, 28), "has more bytes, its header says 4720"),
        ((2**16, 2**8, 2**8), "has more than 1,048,576 bytes, which"),
    ],
)
def test_a_small_gz_that_unfolds_to_a_hundred_times_as_much_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...], message: str
) -> None:
    monkeypatch.setattr(idx, "_LARGEST", 2**20)
    write_mnist(tmp_path / "in", suffix=".gz")
    content = gzip.compress(struct.pack(">4I", 2051, *sizes)) + gzip.compress(bytes(2**24)) * 4
    (tmp_path / "in" / f"{FILES[0]}.gz").write_bytes(content)
    tracemalloc.start()
    assert message in refusal(tmp_path / "in")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_mnist(tmp_path / "in")
    (tmp_path / "in" / name).unlink()
    assert f"lacks {name}" in refusal(tmp_path / "in")


def test_a_missing_folder_and_a_file_in_its_place_are_told_apart(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "in")
    (tmp_path / "in").write_text("x")
    assert "is no folder and no file that is a dataset" in refusal(tmp_path / "in")
