"""What is computed again in the backward pass is what it was, and is not kept."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from device_runtime.formats.model import read_model
from device_runtime.formats.sample import picture
from pipeline.recipe import Optimizer, Preprocessing, Recipe
from tests.pipeline import stages

PIXELS, CLASSES, BATCH = picture(16, 16, 3), 5, 4
RECIPE = Recipe(Preprocessing(16, 16), Optimizer("sgd"), batch_size=BATCH)

HEAD = "from torch import nn\nimport torch\n\n\n"

NETWORKS = {
    # Batch normalisation renews its statistics once, and dropout draws what it drew.
    "blocks with batch normalisation and dropout": """
def block(inputs, outputs, stride):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU6(), nn.Dropout(0.3),
        nn.Conv2d(outputs, outputs, 3, 1, 1, groups=outputs), nn.BatchNorm2d(outputs), nn.Hardswish(),
    )

def network():
    blocks = [block(3, 8, 1), block(8, 16, 2), block(16, 16, 1), block(16, 32, 2), block(32, 32, 1)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5))
""",
    "shortcuts and pooling": """
class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        first = nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU()
        self.body = nn.Sequential(*first, nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width))

    def forward(self, x):
        return torch.relu(x + self.body(x))

def network():
    first = nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
    return nn.Sequential(*first, *(Residual(16) for _ in range(4)), nn.Flatten(), nn.Linear(256, 5))
""",
    "a transformer": """
class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, image):
        return self.head(self.encoder(self.patches(image).flatten(2).transpose(1, 2)).mean(1))

def network():
    return Tokens()
""",
}


@pytest.mark.parametrize("text", NETWORKS.values(), ids=NETWORKS.keys())
def test_losses_and_weights_are_bit_for_bit_what_they_are_without(text: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    shape = (BATCH, PIXELS.shape[0], PIXELS.shape[1], PIXELS.shape[2])
    batches = [(random.integers(0, 256, shape, np.uint8), random.integers(0, CLASSES, BATCH)) for _ in range(6)]
    losses, weights, nodes = [], [], []
    for recompute in (False, True):
        place = tmp_path / str(recompute)
        place.mkdir()
        source = stages.module_of(HEAD + text, place)
        folder = stages.build(source, replace(RECIPE, recompute=recompute), PIXELS, CLASSES, place)
        engine = stages.open_engine(folder, BATCH)
        losses.append([engine.train_step(*batch, 0.05, step) for step, batch in enumerate(batches, 1)])
        weights.append((engine.parameters(), engine.buffers()))
        nodes.append(len(onnx.load(folder / "gradient_step.onnx").graph.node))
    assert losses[0] == losses[1]
    for plain, again in zip(*weights, strict=True):
        np.testing.assert_array_equal(plain, again)
    assert nodes[1] > 1.1 * nodes[0]


def test_what_cannot_be_cut_is_left_as_it_is(tmp_path: Path) -> None:
    text = HEAD + "def network():\n    return nn.Sequential(nn.Flatten(), nn.Linear(768, 5))\n"
    sizes = set()
    for recompute in (False, True):
        place = tmp_path / str(recompute)
        place.mkdir()
        recipe = replace(RECIPE, recompute=recompute)
        folder = stages.build(stages.module_of(text, place), recipe, PIXELS, CLASSES, place)
        sizes.add(len(onnx.load(folder / "gradient_step.onnx").graph.node))
    assert len(sizes) == 1


DEEP = """
def network():
    layers = []
    for place in range(16):
        layers += [nn.Conv2d(16 if place else 3, 16, 1, bias=False), nn.BatchNorm2d(16), nn.SiLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))
"""

# In a process of its own, as a runner is: what it takes at most above what it takes before.
MEASURE = """
import sys
from pathlib import Path
import numpy as np
from device_runtime.metrics import peak_memory_bytes, resident_memory_bytes
from tests.pipeline import stages

folder = Path(sys.argv[1])
engine = stages.open_engine(folder, 64)
pixels, label = np.zeros((64, 32, 32, 3), np.uint8), np.zeros(64, np.int64)
base = resident_memory_bytes()
for step in range(1, 4):
    engine.train_step(pixels, label, 0.01, step)
print(peak_memory_bytes() - base)
"""


def test_the_runner_takes_less_memory(tmp_path: Path) -> None:
    peaks = []
    for recompute in (False, True):
        place = tmp_path / str(recompute)
        place.mkdir()
        recipe = replace(RECIPE, preprocessing=Preprocessing(32, 32), batch_size=64, recompute=recompute)
        folder = stages.build_unchecked(
            stages.module_of(HEAD + DEEP, place), recipe, picture(32, 32, 3), CLASSES, place
        )
        assert read_model(folder).parameters_size < 10_000
        command = (sys.executable, "-c", MEASURE, str(folder))
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    assert peaks[1] < 0.6 * peaks[0]
