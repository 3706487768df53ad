"""A finished run, and its test images as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device_runtime.formats.dataset import load_dataset
from tests.invoking import invoke


@dataclass(frozen=True)
class Finished:
    """A run on the sample, and what it needs.

    Attributes:
      results: its folder, the newest of two.
      build: the build folder.
      pictures: a PNG of each test image, in a folder for each class.
      accuracy: as the run's evaluation printed it.
    """

    results: Path
    build: Path
    pictures: Path
    accuracy: float

    @property
    def folders(self) -> tuple[str | Path, ...]:
        """The options that name build and runs."""
        return ("--build", self.build, "--runs", self.results.parent)


@pytest.fixture(scope="session")
def finished(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A short run on the sample; a file of another run lies before it."""
    runs = tmp_path_factory.mktemp("finished")
    (runs / "20200101-000000-old-x86").mkdir()
    (runs / "20200101-000000-old-x86" / "old_trained.onnx").write_bytes(b"an old one")
    run = invoke("run", "--cycles", "80", "--build", build, "--runs", runs)
    assert run.code == 0, run.stderr
    split = load_dataset(build / "package-x86" / "dataset").splits["test"]
    pictures = tmp_path_factory.mktemp("pictures")
    pixels, labels = split.batch(np.arange(len(split)))
    for number, (image, label) in enumerate(zip(pixels, labels.tolist(), strict=True)):
        (pictures / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).save(pictures / str(label) / f"{number}.png")
    return Finished(run.results, build, pictures, run.accuracies[-1])
