"""A forward graph is cut where training begins, and only after a layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from pipeline.capture.split import split_forward


class Centred(nn.Module):
    """Images without their mean colour."""

    def forward(self, image: Tensor) -> Tensor:
        return image - torch.full((1, 1, 1, 3), 0.5)


class Tokens(nn.Module):
    """Pixels as indices of an embedding."""

    def forward(self, image: Tensor) -> Tensor:
        return image.flatten(1).long()


def exported(module: nn.Module, folder: Path) -> onnx.ModelProto:
    path = folder / "forward.onnx"
    names = {"input_names": ["image"], "output_names": ["logits"]}
    torch.onnx.export(module, (torch.zeros(2, 1, 2, 3),), str(path), dynamo=False, opset_version=15, **names)  # type: ignore[arg-type]
    return onnx.load(path)


def test_what_stands_before_the_first_trainable_parameter_is_the_backbone(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    parts = split_forward(exported(module, tmp_path), ["3.weight", "3.bias"])
    assert parts is not None
    image = np.random.default_rng(0).normal(size=(2, 1, 2, 3)).astype(np.float32)
    value: dict[str, np.ndarray] = {"image": image}
    for part, output in zip(parts, ("features", "logits"), strict=True):
        value = {output: ort.InferenceSession(part.SerializeToString()).run([output], value)[0]}
    expected = module(torch.from_numpy(image)).detach().numpy()
    np.testing.assert_allclose(value["logits"], expected, rtol=1e-5, atol=1e-6)


def test_weights_may_be_constants(tmp_path: Path) -> None:
    forward = exported(nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), tmp_path)
    frozen = [tensor for tensor in forward.graph.initializer if tensor.name.startswith("1.")]
    for tensor in frozen:
        forward.graph.node.insert(0, onnx.helper.make_node("Constant", [], [tensor.name], value=tensor))
        forward.graph.initializer.remove(tensor)
    assert len(frozen) == 2
    assert split_forward(forward, ["3.weight", "3.bias"]) is not None


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(6, 2)),
        nn.Sequential(Centred(), nn.Flatten(), nn.Linear(6, 2)),
        nn.Sequential(Tokens(), nn.Embedding(9, 4), nn.Flatten(), nn.Linear(24, 2)),
    ],
    ids=["flattened", "centred", "tokens"],
)
def test_what_only_scales_or_rearranges_the_image_is_no_backbone(module: nn.Module, tmp_path: Path) -> None:
    forward = exported(module, tmp_path)
    assert split_forward(forward, [name for name, _ in module.named_parameters()]) is None
