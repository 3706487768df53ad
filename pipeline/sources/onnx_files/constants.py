"""Gives every parameter of an ONNX file an initializer of its own, and makes everything else a Constant.

What the later stages train is then simply what stands among the initializers.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from pipeline.errors import brief
from pipeline.graphs.edits import keep_constant
from pipeline.graphs.reading import opset_of
from pipeline.sources.onnx_files.parameters import Judge, Role
from pipeline.sources.onnx_files.readers import MOVES, Place
from pipeline.sources.onnx_files.reading import say
from pipeline.sources.onnx_files.values import is_uniform

_SCOPES = "pkg.torch.onnx.name_scopes"
# torch's new exporter, which stores equal tensors once, writes none below.
_FIRST_OPSET_OF_SHARING = 18

_LEAVES = {"Gather": {0: "weight"}}


@dataclass(frozen=True)
class _Reader:
    place: Place
    role: Role
    layer: Hashable
    name: str


def settle(model: onnx.ModelProto, path: Path) -> list[str]:
    """Changes `model` so; returns the names of what trains, and of the statistics of batch normalisation."""
    _lift(model.graph)
    _part_moves(model.graph)
    judge, kept, parted, named = Judge(model), list[str](), list[str](), list[str]()
    for tensor in [t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT]:
        values = numpy_helper.to_array(tensor)
        groups = _grouped(judge, tensor.name, values, opset_of(model))
        kept += _own_tensors(model.graph, judge, tensor, groups)
        layers = [readers for readers in groups.values() if readers[0].role is Role.PARAMETER]
        parted += [tensor.name] if len(layers) > 1 else []
        if (
            not layers
            and not any(r[0].role is Role.STATISTIC for r in groups.values())
            and values.size > 1
            and judge.is_named(tensor.name)
        ):
            named.append(tensor.name)
    floats = {t.name for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}
    keep_constant(model, floats - set(kept))
    if parted:
        say(f"{path}: stored once, trained apart in each layer: {brief(parted, 5)}")
    if named:
        say(f"{path}: taken for constants, not trained: {brief(named, 5)}")
    return kept


def _lift(graph: onnx.GraphProto) -> None:
    """Makes initializers of float Constants."""
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        tensor = next((a.t for a in node.attribute if a.name == "value"), None)
        if tensor is not None and tensor.data_type == TensorProto.FLOAT:
            lifted = graph.initializer.add()
            lifted.CopyFrom(tensor)
            lifted.name = node.output[0]
            graph.node.remove(node)


def _part_moves(graph: onnx.GraphProto) -> None:
    """Gives each reader of a moved initializer a move of its own, since exporters store equal ones once."""
    tensors = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    taken = {name for node in graph.node for name in node.output} | {output.name for output in graph.output}
    nodes: list[onnx.NodeProto] = []
    originals = list(graph.node)
    readers: dict[str, list[tuple[onnx.NodeProto, int]]] = defaultdict(list)
    for node in originals:
        for slot, name in enumerate(node.input):
            readers[name].append((node, slot))
    for node in originals:
        nodes.append(node)
        if node.op_type not in MOVES or node.input[0] not in tensors or len(node.output) != 1:
            continue
        for number, (reader, slot) in enumerate(readers[node.output[0]][1:], 2):
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            name = f"{node.output[0]}/{number}"
            while name in taken:
                name += "_"
            taken.add(name)
            copy.output[0], copy.name = name, name
            reader.input[slot] = name
            nodes.append(copy)
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _grouped(judge: Judge, name: str, values: npt.NDArray[np.floating], opset: int) -> dict[Hashable, list[_Reader]]:
    """Readers of a tensor by the layer that it belongs to there."""
    groups: dict[Hashable, list[_Reader]] = defaultdict(list)
    for place in judge.readers.of[name]:
        role = judge.role(name, values, place)
        layer, own = ("", name) if role is Role.CONSTANT else _layer(judge, name, values, place, opset)
        groups[(role, layer)].append(_Reader(place, role, layer, own))
    return groups


def _layer(judge: Judge, name: str, values: npt.NDArray[np.floating], place: Place, opset: int) -> tuple[Hashable, str]:
    """What tells the layer of a reader, and the name of its own tensor there."""
    reader = judge.readers.nodes[place.node]
    terminal = next(judge.terminals(place), place)
    node = judge.readers.nodes[terminal.node]
    kind, scope = (node.op_type, terminal.slot), _scope(node)
    if scope is not None:
        # Equal random weights at another kind of place are tied, as those of an embedding and the last layer.
        own = name if name.startswith(scope) else f"{scope}.{_leaf(node, terminal.slot)}"
        return (scope, "" if is_uniform(values) else kind), own
    if reader.op_type == "Identity" and judge.is_named(reader.output[0]) and "." in reader.output[0]:
        # torch's old exporter writes this for a tensor that equals another.
        return (reader.output[0].rpartition(".")[0], "" if is_uniform(values) else kind), reader.output[0]
    if not is_uniform(values) or opset < _FIRST_OPSET_OF_SHARING or node.op_type == "PRelu":
        return "", name
    weight = _weight_beside(judge, name, terminal)
    return weight or terminal.node, f"{name}/{weight or node.name or node.output[0]}"


def _scope(node: onnx.NodeProto) -> str | None:
    """Torch's path of the module that an operator belongs to, as its new exporter notes it."""
    for entry in getattr(node, "metadata_props", ()):
        if entry.key == _SCOPES:
            try:
                scopes = ast.literal_eval(entry.value)
            except (ValueError, SyntaxError):
                return None
            return str(scopes[-2]) if isinstance(scopes, list) and len(scopes) > 1 else None
    return None


def _leaf(node: onnx.NodeProto, slot: int) -> str:
    """Torch's name of what an operator reads there."""
    bias = node.op_type == "Add" or slot == 2
    return "bias" if bias else _LEAVES.get(node.op_type, {}).get(slot, "weight")


def _weight_beside(judge: Judge, name: str, place: Place) -> str:
    """The weight that a layer multiplies with where this is its bias, "" where there is none."""
    made = [judge.readers.maker_of(value) for value in judge.readers.others(place)]
    nodes = [judge.readers.nodes[index] for index in made if index is not None]
    behind = [value for node in nodes if node.op_type == "MatMul" for value in node.input]
    candidates = [*judge.readers.others(place), *behind]
    fixed = (value for value in candidates if value not in judge.readers.computed and value != name)
    return next((value for value in fixed if value not in judge.uniform), "")


def _own_tensors(
    graph: onnx.GraphProto, judge: Judge, tensor: TensorProto, groups: dict[Hashable, list[_Reader]]
) -> list[str]:
    """Writes a tensor for each layer beside the first, and one for those to whom it is a constant; names what stays."""
    taken = {t.name for t in graph.initializer} | {name for node in graph.node for name in node.output}
    trained = [readers for readers in groups.values() if readers[0].role is not Role.CONSTANT]
    constant = [readers for readers in groups.values() if readers[0].role is Role.CONSTANT]
    kept: list[str] = []
    # The name goes to the layer that it is the name of.
    trained.sort(key=lambda readers: readers[0].name != tensor.name)
    for number, readers in enumerate([*trained, *(constant if trained else [])]):
        name = tensor.name
        if number:
            name = _free(readers[0].name if readers[0].name != tensor.name else f"{tensor.name}/constant", taken)
            taken.add(name)
            copy = graph.initializer.add()
            copy.CopyFrom(tensor)
            copy.name = name
            for reader in readers:
                judge.readers.nodes[reader.place.node].input[reader.place.slot] = name
        if readers[0].role is not Role.CONSTANT:
            kept.append(name)
    return kept


def _free(wish: str, taken: Collection[str]) -> str:
    name, count = wish, 1
    while name in taken:
        count += 1
        name = f"{wish}.{count}"
    return name
