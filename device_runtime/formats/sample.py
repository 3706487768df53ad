"""What one sample of a dataset is, and what a model is to give for it: types and shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Of the numbers of a sample.
DTYPES = ("uint8", "int16", "int32", "int64", "float16", "float32")

# Targets: the number of a class, for the sample or each of its positions; whether each of several labels holds, 0 or 1;
# numbers to come near to.
CLASS, LABELS, VALUES = "class", "labels", "values"

# Of a picture: grey, or red, green and blue.
_CHANNELS = (1, 3)

_MOST_AXES = 32


@dataclass(frozen=True)
class Sample:
    """One sample as the dataset has it; `dtype` is one of `DTYPES`."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def is_picture(self) -> bool:
        """Whether it is height × width × channels of pixels, in uint8; anything else is an array."""
        return self.dtype == "uint8" and len(self.shape) == 3 and self.shape[2] in _CHANNELS

    @property
    def is_sound(self) -> bool:
        """Whether it is one sample of 16 bits after another, as recordings are."""
        return self.dtype == "int16" and len(self.shape) == 1

    @property
    def text(self) -> str:
        """For a person: sizes, and the type where it is no picture's."""
        sizes = " × ".join(map(str, self.shape)) or "a number"
        return sizes if self.is_picture else f"{sizes}, {self.dtype}"


@dataclass(frozen=True)
class Target:
    """What a model is to give for a sample.

    Attributes:
      kind: `CLASS`, `LABELS` or `VALUES`.
      count: how many classes, labels or values there are.
      shape: of one sample's target: () of a class, the positions' of a class for each, (count,) of labels and values.
      ignore: the number that stands where a position has no class, or None.
    """

    kind: str
    count: int
    shape: tuple[int, ...] = ()
    ignore: int | None = None

    @property
    def dtype(self) -> type[np.int64] | type[np.float32]:
        """Of a batch's targets."""
        # Here, as `invoke doctor` runs where it is missing.
        import numpy as np

        return np.int64 if self.kind == CLASS else np.float32

    @property
    def output(self) -> tuple[int, ...]:
        """Shape of a model's output for one sample: as torch's losses take it, classes come before positions."""
        return (self.count, *self.shape) if self.kind == CLASS else self.shape

    @property
    def text(self) -> str:
        """For a person."""
        each = f" for each of {' × '.join(map(str, self.shape))} positions" if self.kind == CLASS and self.shape else ""
        return f"{self.count} {'classes' if self.kind == CLASS else self.kind}{each}"

    @property
    def is_one_class(self) -> bool:
        """Whether it is one class for the whole sample."""
        return self.kind == CLASS and not self.shape

    def no_classes(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Those of the labels that are no class, each of which would be a place beyond the logits."""
        wrong = (labels < 0) | (labels >= self.count)
        return labels[wrong if self.ignore is None else wrong & (labels != self.ignore)]


def picture(height: int, width: int, channels: int) -> Sample:
    """A picture of so many pixels."""
    return Sample("uint8", (height, width, channels))


def size_of(picture: Sample) -> tuple[int, int, int]:
    """Height, width and channels of a picture."""
    height, width, channels = picture.shape
    return height, width, channels


def one_class(classes: int) -> Target:
    """One of so many classes."""
    return Target(CLASS, classes)


def check_sample(sample: Sample) -> None:
    """Raises ValueError where no sample is like that."""
    if sample.dtype not in DTYPES:
        raise ValueError(f"samples of type {sample.dtype}")
    if len(sample.shape) > _MOST_AXES or min(sample.shape, default=1) < 1 or math.prod(sample.shape) > 2**40:
        raise ValueError(f"samples of {sample.shape}")


def check_target(target: Target) -> None:
    """Raises ValueError where no target is like that."""
    if target.kind not in (CLASS, LABELS, VALUES) or target.count < 1:
        raise ValueError(f"targets of {target.count} {target.kind}")
    if len(target.shape) > _MOST_AXES or min(target.shape, default=1) < 1 or math.prod(target.shape) > 2**40:
        raise ValueError(f"targets of {target.shape}")
    if target.kind != CLASS and target.shape != (target.count,):
        raise ValueError(f"{target.count} {target.kind} of {target.shape}")


def drawn(sample: Sample, count: int, random: np.random.Generator) -> npt.NDArray[np.generic]:
    """So many samples of random numbers: pixels, noise, or small ones, which may be places in a table."""
    import numpy as np

    if sample.dtype.startswith("float"):
        return random.standard_normal((count, *sample.shape), np.float32).astype(sample.dtype)
    if sample.is_sound:
        return random.integers(-(2**15), 2**15, (count, *sample.shape), np.int16)
    return random.integers(0, 256 if sample.dtype == "uint8" else 2, (count, *sample.shape), sample.dtype)


def drawn_targets(target: Target, count: int, random: np.random.Generator) -> npt.NDArray[np.generic]:
    """Targets of so many samples, drawn."""
    import numpy as np

    if target.kind == VALUES:
        return random.standard_normal((count, *target.shape), np.float32)
    most = target.count if target.kind == CLASS else 2
    return random.integers(0, most, (count, *target.shape)).astype(target.dtype)
