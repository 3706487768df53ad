"""torch's recurrent layers: each trains as in torch, is a few nodes of a graph, and stands in the inference model."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from device_runtime.formats.sample import picture
from pipeline.errors import LoweringError, ModelError
from pipeline.recipe import Optimizer, Preprocessing, Recipe
from pipeline.sources.model_source import build_module
from tests.pipeline import stages

STEPS, BATCH, SIDE, CLASSES = 20, 8, 8, 4
RATE = 3e-3
RECIPE = Recipe(Preprocessing(SIDE, SIDE), Optimizer("adam"), batch_size=BATCH, learning_rate=RATE)

TEXT = """
import torch
from torch import nn
class Rows(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.{layer}
        self.head = nn.LazyLinear(4)
    def forward(self, image):
        x = image.squeeze(1)
        {forward}
def network():
    made = Rows()
    made(torch.zeros(1, 1, {height}, 8))
    return made
"""
LAST = "return self.head(self.net(x)[0][:, -1])"

CELLS = {
    "LSTM": ("LSTM", ""),
    "GRU": ("GRU", ""),
    "RNN": ("RNN", ""),
    "RNN of relu": ("RNN", ", nonlinearity='relu'"),
}
DEPTHS = {
    "one layer": "",
    "two layers": ", num_layers=2",
    "two layers, both directions": ", num_layers=2, bidirectional=True",
}
WAYS: dict[str, tuple[str, str]] = {
    f"{cell}, {depth}": (f"{layer}(8, 16, batch_first=True{more}{options})", LAST)
    for (cell, (layer, more)), (depth, options) in product(CELLS.items(), DEPTHS.items())
} | {
    "LSTM without biases, the steps first, its last states": (
        "LSTM(8, 16, bias=False, bidirectional=True)",
        "y, (h, c) = self.net(x.transpose(0, 1)); return self.head(torch.cat([*h, *c, y[3]], 1))",
    ),
    "GRU without biases, its last state": (
        "GRU(8, 16, bias=False, batch_first=True)",
        "return self.head(self.net(x)[1][0])",
    ),
    "LSTM with states that are trained": (
        "LSTM(8, 8, batch_first=True)",
        "s = x.mean(1).unsqueeze(0); y, (h, c) = self.net(x, (s, torch.tanh(s))); "
        "return self.head(y.sum(1) + h[0] + c[0])",
    ),
    "GRU with a state that is computed, both directions": (
        "GRU(8, 4, batch_first=True, bidirectional=True)",
        "y, h = self.net(x, x[:, :2, :4].transpose(0, 1).contiguous()); "
        "return self.head(y.mean(1) + torch.cat([h[0], h[1]], 1))",
    ),
    "RNN twice over one sequence": (
        "RNN(8, 8, batch_first=True)",
        "y, h = self.net(x); return self.head(self.net(y, h)[0][:, -1])",
    ),
    "LSTM of one step": ("LSTM(8, 16, batch_first=True)", "return self.head(self.net(x[:, :1])[0][:, 0])"),
    "LSTM whose steps are the images": (
        "LSTM(8, 16, bidirectional=True)",
        "return self.head(self.net(x)[0].flatten(1))",
    ),
    "LSTM whose steps are the images, without an axis of batches": (
        "LSTM(8, 16, num_layers=2)",
        "return self.head(self.net(x.mean(1))[0])",
    ),
}


def source_of(way: str, folder: Path, height: int = SIDE) -> Any:
    layer, forward = WAYS[way]
    text = TEXT.replace("{layer}", layer).replace("{forward}", forward).replace("{height}", str(height))
    return stages.module_of(text, folder)


@pytest.mark.parametrize("way", WAYS)
def test_twenty_steps_are_torchs(way: str, tmp_path: Path) -> None:
    source = source_of(way, tmp_path)
    built = stages.build(source, RECIPE, picture(SIDE, SIDE, 1), CLASSES, tmp_path)
    engine = stages.open_engine(built, BATCH)
    random = np.random.default_rng(2)
    network = build_module(source, CLASSES, 1)
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    ours: list[float] = []
    torchs: list[float] = []
    for number in range(1, STEPS + 1):
        image, label = random.integers(0, 256, (BATCH, SIDE, SIDE, 1), np.uint8), random.integers(0, CLASSES, BATCH)
        ours.append(engine.train_step(image, label, RATE, number))
        optimizer.zero_grad()
        given = torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255
        loss = nn.functional.cross_entropy(network.train()(given), torch.from_numpy(label))
        torch.autograd.backward(loss)
        optimizer.step()
        torchs.append(float(loss.detach()))
    np.testing.assert_allclose(ours, torchs, rtol=1e-3)


@pytest.mark.parametrize("cell", CELLS)
def test_its_nodes_are_as_many_for_any_length(cell: str, tmp_path: Path) -> None:
    counts: list[int] = []
    for height in (8, 512):
        (folder := tmp_path / str(height)).mkdir()
        source = source_of(f"{cell}, one layer", folder, height)
        recipe = Recipe(Preprocessing(height, SIDE), Optimizer("adam"), batch_size=BATCH)
        built = stages.build(source, recipe, picture(height, SIDE, 1), CLASSES, folder)
        counts.append(len(onnx.load(built / "gradient_step.onnx").graph.node))
    assert counts[0] == counts[1] < 120


def test_the_inference_model_has_the_standards_operators(tmp_path: Path) -> None:
    source = source_of("GRU, two layers, both directions", tmp_path)
    stages.build_unchecked(source, RECIPE, picture(SIDE, SIDE, 1), CLASSES, tmp_path)
    forward = onnx.load(tmp_path / "export" / "forward.onnx")
    assert [node.op_type for node in forward.graph.node].count("GRU") == 4


@pytest.mark.parametrize(
    ("layer", "forward", "message"),
    [
        ("LSTM(8, 16, proj_size=4, batch_first=True)", LAST, "an LSTM with proj_size has no form here"),
        (
            "LSTM(8, 16, batch_first=True)",
            "packed = nn.utils.rnn.pack_padded_sequence(x, torch.full((len(x),), 8), batch_first=True); "
            "return self.head(self.net(packed)[1][0][-1])",
            "the model packs sequences",
        ),
    ],
)
def test_what_has_no_form_is_refused_by_name(layer: str, forward: str, message: str, tmp_path: Path) -> None:
    text = TEXT.replace("{layer}", layer).replace("{forward}", forward).replace("{height}", str(SIDE))
    with pytest.raises(ModelError, match=message) as caught:
        stages.build(stages.module_of(text, tmp_path), RECIPE, picture(SIDE, SIDE, 1), CLASSES, tmp_path)
    assert "\n" not in str(caught.value)


def test_steps_and_images_cannot_both_be_as_many_as_the_batch(tmp_path: Path) -> None:
    forward = "return self.head(self.net(x[:, 0].unsqueeze(0).expand(x.shape[0], -1, -1))[0][0])"
    text = TEXT.replace("{layer}", "LSTM(8, 16)").replace("{forward}", forward).replace("{height}", str(SIDE))
    with pytest.raises(LoweringError, match="whose steps and images both depend on the batch") as caught:
        stages.build(stages.module_of(text, tmp_path), RECIPE, picture(SIDE, SIDE, 1), CLASSES, tmp_path)
    assert "\n" not in str(caught.value)
