"""Pictures in memory → BMP strips, one file for each split and class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from device_runtime.formats.bmp import write_bmp
from device_runtime.formats.dataset import Strip
from pipeline.datasets.photographs.names import file_name


def write_strips(
    folder: Path | None,
    split: str,
    classes: Sequence[str],
    numbers: Sequence[int],
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer],
) -> tuple[Strip, ...]:
    """Writes the pictures of one split.

    Args:
      folder: an existing one; None: nothing is written.
      split: its name.
      classes: their names.
      numbers: their labels.
      images: uint8 N×H×W×C, C 1 or 3 (RGB).
      labels: N.
    """
    strips: list[Strip] = []
    for label, (name, number) in enumerate(zip(classes, numbers, strict=True)):
        chosen = images[labels == number]
        if not len(chosen):
            continue
        file = file_name(split, name, "images")
        if folder:
            (folder / file).parent.mkdir(parents=True)
            write_bmp(folder / file, chosen)
        strips.append(Strip(file, label, len(chosen)))
    return tuple(strips)
