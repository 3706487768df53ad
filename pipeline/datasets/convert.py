"""The convert stage: a folder of any known layout → build/dataset-<digest>/.

Without a folder it converts the sample of real MNIST digits that the project carries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from device_runtime.formats import dataset as dataset_format
from pipeline.datasets.idx import convert_idx, find_files
from pipeline.errors import DatasetError
from pipeline.files import new_folder

SAMPLE = Path(__file__).parent / "sample"

# Raised when a converted dataset would look different: what was converted before is then made again.
VERSION = 1

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ConvertOptions:
    """How images become the dataset."""

    name: str = "mnist"


def convert(source: Path | None, build: Path, options: ConvertOptions = ConvertOptions()) -> Path:
    """Converts `source` once: the folder is named after a digest of names, sizes and times of the input's files.

    Args:
      source: the dataset's folder, or None for the sample.
      build: the build folder.
      options: how to convert.

    Returns:
      The dataset's folder.

    Raises:
      DatasetError: the folder is missing, empty, of no known layout or damaged.
    """
    folder = SAMPLE if source is None else source
    if not folder.is_dir():
        raise DatasetError(f"the data folder {folder} does not exist: give --data the folder with the dataset's files")
    files = find_files(folder)
    if not files:
        raise DatasetError(
            f"{folder} holds no dataset: expected train-images-idx3-ubyte, train-labels-idx1-ubyte, "
            "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (raw or .gz), flat or in train/ and test/"
        )
    target = build / f"dataset-{_digest(files, options)}"
    if (target / dataset_format.FILE_NAME).is_file():
        return target
    with new_folder(target) as temporary:
        convert_idx(folder, options.name, temporary)
    return target


def _digest(files: list[Path], options: ConvertOptions) -> str:
    stats = [(str(path.resolve()), path.stat()) for path in files]
    content = [VERSION, asdict(options), [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
