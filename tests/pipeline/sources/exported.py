"""ONNX files as torch's new exporter writes them, written by hand: onnxscript, which it needs, is not here.

What is typical of them: opset 18 and later, initializers under torch's dotted names, the exporter's own numbers as
further initializers (`val_3`), equal tensors stored once, group normalisation as InstanceNormalization of Reshapes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional

from tests.pipeline import stages

SIDE, CLASSES = 8, 4
BATCH, STEPS, RATE = 8, 20, 1e-2


def write(path: Path, module: nn.Module, body: str, opset: int = 18, **numbers: object) -> Path:
    """Writes a file with this body, the module's tensors, and the exporter's numbers.

    Args:
      path: takes the file.
      module: whose state has the tensors, by torch's names, with `_` for each dot in the body.
      body: operators in ONNX's text form, `x` → `logits`.
      opset: of the standard.
      numbers: arrays by name; floats are float32, integers int64.
    """
    graph = onnx.parser.parse_graph(
        f"main_graph (float[N, 1, {SIDE}, {SIDE}] x) => (float[N, {CLASSES}] logits) {{{body}}}"
    )
    tensors = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
    for name, number in numbers.items():
        array = np.asarray(number)
        tensors[name] = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
    names = {name.replace(".", "_"): name for name in tensors}
    stored: dict[tuple[tuple[int, ...], bytes], str] = {}
    read = {value for node in graph.node for value in node.input}
    renamed: dict[str, str] = {}
    for flat, name in names.items():
        if flat in read:
            array = np.ascontiguousarray(tensors[name]).reshape(tensors[name].shape)
            first = stored.setdefault((array.shape, array.dtype.str.encode() + array.tobytes()), name)
            renamed[flat] = first
            if first == name:
                graph.initializer.append(numpy_helper.from_array(array, name))
    for number, node in enumerate(graph.node):
        node.input[:] = [renamed.get(value, value) for value in node.input]
        node.name = f"node_{node.op_type}_{number}"
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10, producer_name="pytorch"
    )
    onnx.save(model, path)
    return path


def module_of(seed: int, **layers: nn.Module) -> nn.ModuleDict:
    """Layers with weights of a seed."""
    torch.manual_seed(seed)
    for layer in layers.values():
        for child in layer.modules():
            if isinstance(child, (nn.Linear, nn.Conv2d, nn.Conv1d, nn.ConvTranspose2d, nn.Embedding)):
                child.reset_parameters()
    return nn.ModuleDict(layers)


def conv_and_group_norm() -> nn.ModuleDict:
    """A small network with weights of a seed."""
    return module_of(3, conv=nn.Conv2d(1, 6, 3, padding=1), norm=nn.GroupNorm(3, 6), head=nn.Linear(6, CLASSES))


def train_beside_torch(folder: Path, module: nn.Module, forward: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Trains a model folder and the torch module that its file came from on the same images: losses agree to 1e-3.

    Args:
      folder: the model folder, whose weights are the module's.
      module: trained by torch's Adam.
      forward: gives its logits.
    """
    engine, optimizer = stages.open_engine(folder, BATCH), torch.optim.Adam(module.parameters(), RATE)
    random = np.random.default_rng(0)
    for step in range(1, STEPS + 1):
        pixels, label = random.integers(0, 256, (BATCH, SIDE, SIDE, 1), np.uint8), np.arange(BATCH) % CLASSES
        optimizer.zero_grad()
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        loss = functional.cross_entropy(forward(image), torch.from_numpy(label))
        torch.autograd.backward(loss)
        optimizer.step()
        assert engine.train_step(pixels, label, RATE, step) == pytest.approx(float(loss.detach()), rel=1e-3)
