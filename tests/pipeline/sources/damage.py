"""ONNX files damaged by chance: bytes flipped, cut off or in, fields of the model changed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from onnx import helper
from torch import nn

from tests.pipeline.sources.exported import CLASSES, SIDE, conv_and_group_norm, write

BODY = """ c = Conv<pads=[1,1,1,1]>(x, conv_weight, conv_bias)
    n = GroupNormalization<num_groups=3>(c, norm_weight, norm_bias) r = Relu(n)
    p = GlobalAveragePool(r) f = Flatten(p) logits = Gemm<transB=1>(f, head_weight, head_bias) """


def originals(folder: Path) -> list[bytes]:
    """Files of both of torch's exporters."""
    torch.manual_seed(2)
    layers = (nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, CLASSES))
    example, old = torch.zeros(1, 1, SIDE, SIDE), folder / "old.onnx"
    torch.onnx.export(nn.Sequential(*layers).eval(), (example,), str(old), dynamo=False, opset_version=11)
    new = write(folder / "new.onnx", conv_and_group_norm(), BODY, 21)
    return [old.read_bytes(), new.read_bytes()]


def damaged(original: bytes, seed: int) -> bytes:
    """A file with one to three damages drawn by the seed."""
    chance = random.Random(seed)
    data = original
    # Most flipped or cut files are no protobuf any more, which is told at once.
    for _ in range(chance.randint(1, 3)):
        data = chance.choice((_flipped, _cut, _spliced, *[_changed] * 9))(data, chance)
    return data


def _flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 4, 32)) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _spliced(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.randint(0, 8) :] + chance.randbytes(chance.randint(0, 4))


def _changed(data: bytes, chance: random.Random) -> bytes:
    """A field of the model changed, where the file can still be read."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
        chance.choice(_CHANGES)(model, chance)
        return bytes(model.SerializeToString())
    # protobuf's errors, and choices among nothing.
    except Exception:
        return data


def _node(model: onnx.ModelProto, chance: random.Random) -> onnx.NodeProto:
    node: onnx.NodeProto = chance.choice(model.graph.node)
    return node


def _other_operator(model: onnx.ModelProto, chance: random.Random) -> None:
    _node(model, chance).op_type = chance.choice(("Loop", "Nonsense", "Reshape", "Softmax", "Gather", "LSTM", ""))


def _other_domain(model: onnx.ModelProto, chance: random.Random) -> None:
    _node(model, chance).domain = chance.choice(("com.microsoft", "my.own", "ai.onnx.ml"))


def _other_input(model: onnx.ModelProto, chance: random.Random) -> None:
    node = _node(model, chance)
    node.input[chance.randrange(len(node.input))] = chance.choice(("", "x", "nowhere", node.output[0]))


def _fewer_inputs(model: onnx.ModelProto, chance: random.Random) -> None:
    del _node(model, chance).input[chance.randint(0, 1) :]


def _no_outputs(model: onnx.ModelProto, chance: random.Random) -> None:
    del _node(model, chance).output[:]


def _other_attribute(model: onnx.ModelProto, chance: random.Random) -> None:
    node = _node(model, chance)
    name = chance.choice([a.name for a in node.attribute] or ["axis"])
    for attribute in [a for a in node.attribute if a.name == name]:
        node.attribute.remove(attribute)
    node.attribute.append(helper.make_attribute(name, chance.choice((-1, 99, 2.5, "text", [1, 2], [0, 0, -7, 3]))))


def _other_sizes(model: onnx.ModelProto, chance: random.Random) -> None:
    tensor = chance.choice(model.graph.initializer)
    tensor.dims[chance.randrange(len(tensor.dims))] = chance.choice((0, -1, 1, 7, 1 << 40))


def _other_type(model: onnx.ModelProto, chance: random.Random) -> None:
    chance.choice(model.graph.initializer).data_type = chance.randint(0, 25)


def _other_image(model: onnx.ModelProto, chance: random.Random) -> None:
    info = chance.choice((*model.graph.input, *model.graph.output))
    tensor = info.type.tensor_type
    if chance.random() < 0.5:
        tensor.elem_type = chance.randint(0, 25)
    else:
        chance.choice(tensor.shape.dim).dim_value = chance.choice((-3, 0, 2, 3, 1 << 33))


def _other_version(model: onnx.ModelProto, chance: random.Random) -> None:
    if chance.random() < 0.5:
        model.ir_version = chance.randint(-1, 14)
    else:
        model.opset_import[0].version = chance.randint(-1, 26)


def _lost(model: onnx.ModelProto, chance: random.Random) -> None:
    fields = (model.graph.node, model.graph.initializer, model.graph.input, model.graph.output, model.opset_import)
    field = chance.choice(fields)
    del field[chance.randrange(len(field))]


def _twice(model: onnx.ModelProto, chance: random.Random) -> None:
    field = chance.choice((model.graph.node, model.graph.initializer, model.graph.input, model.graph.output))
    field.append(chance.choice(field))


_CHANGES: tuple[Callable[[onnx.ModelProto, random.Random], None], ...] = (
    *(_other_operator, _other_domain, _other_input, _fewer_inputs, _no_outputs, _other_attribute, _other_sizes),
    *(_other_type, _other_image, _other_version, _lost, _twice),
)
