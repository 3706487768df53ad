"""Makes pipeline/datasets/sample/ from the files of MNIST: `python packaging/make_sample.py /PATH/MNIST_Data`.

5,000 training and 1,000 test images, the same number of each digit, drawn with a fixed seed; the same input gives the
same bytes.
"""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

import numpy as np

from pipeline.datasets.layouts.idx import find_files

SAMPLE = Path(__file__).parent.parent / "pipeline" / "datasets" / "sample"
COUNTS = {"train": 5000, "t10k": 1000}
SEED = 20


def main() -> None:
    """Reads the four files of the folder named on the command line and writes the four of the sample."""
    files = find_files(Path(sys.argv[1]))
    SAMPLE.mkdir(exist_ok=True)
    for (prefix, count), images_file, labels_file in zip(COUNTS.items(), files[::2], files[1::2], strict=True):
        images = np.frombuffer(_content(images_file), np.uint8, offset=16).reshape(-1, 28, 28)
        labels = np.frombuffer(_content(labels_file), np.uint8, offset=8)
        random = np.random.default_rng(SEED)
        chosen = np.concatenate(
            [random.choice(np.flatnonzero(labels == digit), count // 10, replace=False) for digit in range(10)]
        )
        chosen.sort()
        _write(f"{prefix}-images-idx3-ubyte.gz", struct.pack(">4I", 2051, count, 28, 28), images[chosen])
        _write(f"{prefix}-labels-idx1-ubyte.gz", struct.pack(">2I", 2049, count), labels[chosen])


def _content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _write(name: str, header: bytes, values: np.ndarray) -> None:
    (SAMPLE / name).write_bytes(gzip.compress(header + values.tobytes(), 9, mtime=0))


if __name__ == "__main__":
    main()
