"""Small files of exactly CIFAR's formats."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np

NAMES_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
NAMES_100 = tuple(f"fine_{number}" for number in range(100))


def images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels, uint8 N×3072 as CIFAR stores them, and classes of CIFAR-10 in turn."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3072), np.uint8)
    return pixels, np.arange(count) % 10


def as_pictures(pixels: np.ndarray) -> np.ndarray:
    """N×32×32×3 of N×3072, by indexing: not by what is tested."""
    planes = pixels.reshape(-1, 3, 1024)
    return np.stack([planes[:, colour].reshape(-1, 32, 32) for colour in range(3)], axis=-1)


def batches() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of CIFAR-10, by the names of the Python form."""
    found = {f"data_batch_{number}": images(10, number) for number in range(1, 6)}
    return found | {"test_batch": images(10, 6)}


def write_binary_10(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, (pixels, labels) in batches().items():
        rows = np.concatenate([labels[:, None].astype(np.uint8), pixels], axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES_10) + "\n\n")
    (folder / "readme.html").write_text("<html></html>")
    return folder


def write_python_10(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number, (name, (pixels, labels)) in enumerate(batches().items(), 1):
        batch = {
            "data": pixels,
            "labels": labels.tolist(),
            "batch_label": f"training batch {number} of 5",
            "filenames": [f"image_{place}.png" for place in range(len(labels))],
        }
        (folder / name).write_bytes(of_python_2(batch))
    meta = {"num_cases_per_batch": 10000, "label_names": list(NAMES_10), "num_vis": 3072}
    (folder / "batches.meta").write_bytes(of_python_2(meta))
    return folder


def write_binary_100(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, count, seed in (("train", 200, 1), ("test", 100, 2)):
        pixels, _ = images(count, seed)
        fine = np.arange(count, dtype=np.uint8)[:, None] % 100
        (folder / f"{name}.bin").write_bytes(np.concatenate([fine // 5, fine, pixels], axis=1).tobytes())
    (folder / "fine_label_names.txt").write_text("\n".join(NAMES_100))
    (folder / "coarse_label_names.txt").write_text("\n".join(f"coarse_{number}" for number in range(20)))
    return folder


def write_python_100(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, count, seed in (("train", 200, 1), ("test", 100, 2)):
        pixels, _ = images(count, seed)
        fine = [number % 100 for number in range(count)]
        batch = {"data": pixels, "fine_labels": fine, "coarse_labels": [number // 5 for number in fine]}
        (folder / name).write_bytes(of_python_2(batch))
    (folder / "meta").write_bytes(of_python_2({"fine_label_names": list(NAMES_100), "coarse_label_names": ["c"]}))
    return folder


def of_python_2(value: object) -> bytes:
    """A pickle as Python 2 and numpy 1 wrote CIFAR's: protocol 2, texts of bytes, arrays of numpy.core.multiarray."""
    return b"\x80\x02" + _item(value) + b"."


def _item(value: object) -> bytes:
    if isinstance(value, str):
        value = value.encode("latin-1")
    if isinstance(value, bytes):
        short = len(value) < 256
        return (b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))) + value
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_item, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(_item(key) + _item(entry) for key, entry in value.items()) + b"u"
    if isinstance(value, np.ndarray):
        shape = b"(" + b"".join(map(_item, value.shape)) + b"t"
        made = (
            b"cnumpy.core.multiarray\n_reconstruct\n"
            + b"(cnumpy\nndarray\n"
            + b"("
            + _item(0)
            + b"t"
            + _item("b")
            + b"tR"
        )
        dtype = b"cnumpy\ndtype\n(" + _item(value.dtype.str[1:]) + _item(0) + _item(1) + b"tR"
        dtype += b"(" + _item(3) + _item(value.dtype.str[0]) + b"NNN" + _item(-1) + _item(-1) + _item(0) + b"tb"
        return made + b"(" + _item(1) + shape + dtype + b"\x89" + _item(value.tobytes()) + b"tb"
    raise TypeError(type(value))


def read_by_numpy(content: bytes) -> object:
    """What Python's own reader makes of a pickle: these files are what they say they are."""
    return pickle.loads(content, encoding="latin1")
