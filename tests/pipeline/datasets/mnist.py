"""Small MNIST folders for tests, whole and damaged."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

Bytes = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def write_idx(path: Path, array: Bytes) -> None:
    """Writes an IDX file, compressed if its name says so."""
    magic = 2048 + array.ndim
    content = struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_mnist(
    folder: Path, dotted: bool = False, split_folders: bool = False, suffix: str = ""
) -> dict[str, tuple[Bytes, Bytes]]:
    """Writes 40 and 20 random images with every label; returns images N×H×W and labels N by split."""
    random = np.random.default_rng(3)
    arrays: dict[str, tuple[Bytes, Bytes]] = {}
    for split, prefix, count in (("train", "train", 40), ("test", "t10k", 20)):
        pair = random.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10
        inside = folder / split if split_folders else folder
        for kind, array in zip(("images-idx3", "labels-idx1"), pair, strict=True):
            kind_name = kind.replace("-", ".") if dotted else kind
            write_idx(inside / f"{prefix}-{kind_name}-ubyte{suffix}", array)
        arrays[split] = pair
    return arrays
