"""AlexNet and VGG-11 train on images of 64×64, whose features they pool to a larger size."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_runtime.formats.sample import picture
from pipeline.recipe import Optimizer, Preprocessing, Recipe
from pipeline.sources.model_source import ModelSource
from tests.pipeline import stages
from tests.sweep import large

RECIPE = Recipe(Preprocessing(large.SIDE, large.SIDE), Optimizer("sgd"), batch_size=4, learning_rate=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "vgg11"])
def test_it_trains_as_in_torch(name: str, tmp_path: Path) -> None:
    source = ModelSource(name, python_file=Path(str(large.__file__)), factory=name)
    stages.build(source, RECIPE, picture(large.SIDE, large.SIDE, 3), large.CLASSES, tmp_path)
