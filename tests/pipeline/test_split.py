"""Where a forward graph is cut."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import nn

from pipeline.split import split_forward


class Tokens(nn.Module):
    """Pixels are tokens: nothing before the embedding has a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.embedding(image.flatten(1).long())
        return hidden.mean(1)


def exported(model: nn.Module, folder: Path) -> onnx.ModelProto:
    file, options = folder / "forward.onnx", {"image": {0: "N"}, "logits": {0: "N"}}
    example = torch.zeros(2, 1, 4, 4)
    torch.onnx.export(
        model,
        (example,),
        str(file),
        dynamo=False,
        do_constant_folding=False,
        training=torch.onnx.TrainingMode.TRAINING,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes=options,
    )
    return onnx.load(file)


def test_a_graph_is_cut_behind_frozen_parameters(tmp_path: Path) -> None:
    forward = exported(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)), tmp_path)
    parts = split_forward(forward, ["2.weight", "2.bias"])
    assert parts
    backbone, rest = parts
    assert {tensor.name for tensor in backbone.graph.initializer} == {"0.weight", "0.bias"}
    assert {tensor.name for tensor in rest.graph.initializer} == {"2.weight", "2.bias"}


def test_what_has_no_parameters_is_no_backbone(tmp_path: Path) -> None:
    forward = exported(Tokens(), tmp_path)
    assert split_forward(forward, ["embedding.weight"]) is None
