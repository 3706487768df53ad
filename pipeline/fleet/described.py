"""What is known here of images that lie on a device: dataset.json and preparation.json, and noise in their place.

The stages before the package look at a few images, to compare the model's numbers with torch's: any will do.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from device_runtime.formats.bmp import write_bmp
from device_runtime.formats.dataset import FILE_NAME as DATASET
from device_runtime.formats.dataset import Strip, read_description, write_description
from pipeline.datasets.photographs.preparation import FILE_NAME as PREPARATION
from pipeline.datasets.photographs.preparation import read_preparation, write_preparation
from pipeline.files import new_folder
from pipeline.targets.device import connect

# As many as the check of a model takes, and one more.
_IMAGES = 16


def describe(serial: str, there: PurePosixPath, into: Path) -> None:
    """Brings what a converted dataset on a device says of itself.

    Args:
      serial: of the device.
      there: the dataset's folder.
      into: takes it.

    Raises:
      TargetError: it cannot be read.
    """
    device = connect(serial)
    with new_folder(into) as temporary:
        for name in (DATASET, PREPARATION):
            (temporary / name).write_bytes(device.read_file(there / name))


def write_stand_in(described: Path, into: Path) -> None:
    """Writes a dataset of the same classes and size of image, whose few training images are noise.

    Raises:
      FormatError: the description is damaged.
    """
    description = read_description(described)
    shape = description.sample.shape
    random = np.random.default_rng(0)
    with new_folder(into) as temporary:
        strips = []
        for number in range(_IMAGES):
            strips.append(Strip(f"train/{number}.bmp", number % len(description.classes), 1))
            file = temporary / strips[-1].file
            file.parent.mkdir(exist_ok=True)
            write_bmp(file, random.integers(0, 256, (1, *shape), np.uint8))
        write_description(temporary, replace(description, splits={"train": tuple(strips)}))
        write_preparation(temporary, read_preparation(described))
