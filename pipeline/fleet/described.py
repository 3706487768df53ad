"""What is known here of images that lie on a device: dataset.json and preparation.json, and noise in their place.

The stages before the package look at a few images, to compare the model's numbers with torch's: any will do.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from device_runtime.formats.dataset import FILE_NAME as DATASET
from device_runtime.formats.dataset import read_description, write_description
from pipeline.datasets.arrays.strips import write_strips
from pipeline.datasets.photographs.preparation import FILE_NAME as PREPARATION
from pipeline.datasets.photographs.preparation import read_preparation, write_preparation
from pipeline.errors import DatasetError
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
      DatasetError: it is of arrays, whose labels would have to leave the device.
    """
    device = connect(serial)
    with new_folder(into) as temporary:
        (temporary / DATASET).write_bytes(device.read_file(there / DATASET))
        if read_description(temporary).arrays:
            raise DatasetError(
                f"{serial}: {there} has arrays, and how many of each class there are is not in its {DATASET}: "
                "give pictures there, or arrays on this machine, with {serial} in their path"
            )
        (temporary / PREPARATION).write_bytes(device.read_file(there / PREPARATION))


def write_stand_in(described: Path, into: Path) -> None:
    """Writes a dataset of the same classes and size of image, whose few training images are noise.

    Raises:
      FormatError: the description is damaged.
    """
    description = read_description(described)
    classes = description.classes
    noise = np.random.default_rng(0).integers(0, 256, (_IMAGES, *description.sample.shape), np.uint8)
    labels = np.arange(_IMAGES) % len(classes)
    with new_folder(into) as temporary:
        strips = write_strips(temporary, "train", classes, range(len(classes)), noise, labels)
        write_description(temporary, replace(description, splits={"train": strips}))
        write_preparation(temporary, read_preparation(described))
