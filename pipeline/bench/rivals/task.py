"""What a rival is to time, handed from the bench to the rival's process in a file."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from device_runtime.formats.sample import Sample, Target, drawn
from pipeline.recipe import Recipe
from pipeline.sources.model_source import ModelSource

ONNX_FILE = "the model is an ONNX file, and this one trains torch modules alone"

Step = Callable[[], object]


class Unavailable(Exception):
    """A rival does not run here; the message says why, and what would help."""


@dataclass(frozen=True)
class Task:
    """A network, prepared, and how it is trained.

    Attributes:
      package: has the model folder.
      export: has the forward graph and the initial weights.
      lacks_reference: why there are no artifacts of onnxruntime-training for it; empty where there are.
    """

    source: ModelSource
    recipe: Recipe
    sample: Sample
    target: Target
    seed: int
    package: Path
    export: Path
    lacks_reference: str = ""

    @property
    def file(self) -> Path:
        """Where it is handed over."""
        return self.package.parent / "rivals.task"

    @property
    def reference(self) -> Path:
        """Where the artifacts of onnxruntime-training are, with the preprocessing that its engine takes."""
        return self.package.parent / "reference"

    def save(self) -> None:
        """Writes it for another process of this program."""
        self.file.write_bytes(pickle.dumps(self))

    @staticmethod
    def load(file: Path) -> Task:
        """Reads what this program wrote."""
        task: Task = pickle.loads(file.read_bytes())
        return task

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample as the model takes it: channels, height and width of a picture."""
        into = self.recipe.preprocessing
        return (self.sample.shape[2], into.height, into.width) if self.sample.is_picture else self.sample.shape

    def image(self) -> npt.NDArray[np.float32]:
        """A batch of random samples as the model takes them, float32 N×…: a rival gets its input preprocessed."""
        into, random = self.recipe.preprocessing, np.random.default_rng(0)
        if not self.sample.is_picture:
            return drawn(self.sample, self.recipe.batch_size, random).astype(np.float32)
        raw = random.integers(0, 256, (self.recipe.batch_size, *self.shape)).astype(np.float32)
        mean, std = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (into.mean, into.std))
        image: npt.NDArray[np.float32] = (raw * np.float32(into.scale) - mean) / std
        return image

    def label(self) -> npt.NDArray[np.int64]:
        """Its labels, int64 N."""
        return np.random.default_rng(1).integers(0, self.target.count, self.recipe.batch_size)


def missing(package: str) -> Unavailable:
    """For a rival whose package is not installed."""
    return Unavailable(f"not installed: `python -m pip install {package}` beside this program")
