"""Hosts with a small model and few images, on which faults are tried."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest

from pipeline.datasets.layouts.idx import find_files
from tests.faults.training import MODULE


@pytest.fixture(scope="package")
def made_of(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options of a package that trains fast, emulated too: a small model, the first images of MNIST."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.py").write_text(MODULE)
    (folder / "data").mkdir()
    for file, count in zip(find_files(shared_data / "mnist"), (400, 400, 40, 40), strict=True):
        content = gzip.decompress(file.read_bytes())
        header, size = (16, 784) if "images" in file.name else (8, 1)
        head = content[:4] + struct.pack(">I", count) + content[8:header]
        (folder / "data" / file.name.removesuffix(".gz")).write_bytes(head + content[header : header + count * size])
    return ("--model", f"{folder / 'small.py'}:tiny", "--data", str(folder / "data"))
