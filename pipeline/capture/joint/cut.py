"""Cuts the graphs of a module where training begins: a frozen first part that is the same in training and evaluation.

The first part runs once for each image and apart from the train step, so it has to be without random numbers and
without statistics of the batch: torch's own train() and eval() decide, as the two graphs show.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import onnx
from onnx import helper

from device_runtime.formats.steps import RENEWED
from pipeline.capture.joint.operators.random import RANDOM
from pipeline.graphs.edits import replace_nodes
from pipeline.graphs.graph import needed
from pipeline.graphs.names import FEATURES, IMAGE, LABELS, LOGITS
from pipeline.graphs.reading import shapes_of

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "BatchNormalization", "LayerNormalization", "RNN", "LSTM", "GRU"})


@dataclass(frozen=True)
class _Place:
    """A value where a graph can be cut, and the nodes that compute it."""

    value: str
    before: Sequence[onnx.NodeProto]


def cut(
    training: onnx.ModelProto, evaluation: onnx.ModelProto, forward: onnx.ModelProto, trainable: Collection[str]
) -> tuple[onnx.ModelProto, onnx.ModelProto, onnx.ModelProto] | None:
    """The frozen first part (`image` → `features`), and the training and evaluation graph behind it.

    None where no layer stands before the first that trains, where the parts meet in more than one value, or where the
    first part is another in training than in evaluation.
    """
    places = [_place(model, trainable) for model in (training, evaluation, forward)]
    if any(place is None for place in places):
        return None
    first, second, third = (place for place in places if place)
    if _canonical(first.before) != _canonical(third.before) or not LAYERS & {n.op_type for n in third.before}:
        return None
    return _first_part(forward, third), _rest(training, first), _rest(evaluation, second)


def without_loss(evaluation: onnx.ModelProto) -> onnx.ModelProto:
    """Of an evaluation graph what computes the logits."""
    model = onnx.ModelProto()
    model.CopyFrom(evaluation)
    logits = next(output for output in model.graph.output if output.name == LOGITS)
    image = next(info for info in model.graph.input if info.name == IMAGE)
    return _reduced(model, needed(model.graph.node, [LOGITS]), [image], [logits])


def _place(model: onnx.ModelProto, trainable: Collection[str]) -> _Place | None:
    graph = model.graph
    trained, images = set(trainable), {IMAGE}
    meeting: dict[str, None] = {}
    for node in graph.node:
        if trained.intersection(node.input) or node.op_type in RANDOM:
            meeting.update(dict.fromkeys(name for name in node.input if name in images and name not in trained))
            trained.update(node.output)
        # The batch's size is that of the features too.
        if images.intersection(node.input) and not _is_batch(node):
            images.update(node.output)
    renewed = {output.name for output in graph.output if output.name.startswith(RENEWED)}
    if len(meeting) != 1 or IMAGE in meeting or renewed & images - trained:
        return None
    (value,) = meeting
    # Features are kept by image: as many as there are images.
    if shapes_of(model)[value][:1] != ("N",):
        return None
    return _Place(value, needed(graph.node, [value]))


def _is_batch(node: onnx.NodeProto) -> bool:
    return node.op_type == "Shape" and list(node.input) == [IMAGE]


def _canonical(nodes: Sequence[onnx.NodeProto]) -> list[bytes]:
    """The nodes without the names that they gave their values."""
    names: dict[str, str] = {}
    written: list[bytes] = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = ""
        copy.input[:] = [names.get(name, name) for name in node.input]
        for name in node.output:
            names[name] = f"value {len(names)}"
        copy.output[:] = [names[name] for name in node.output]
        written.append(copy.SerializeToString())
    return written


def _first_part(forward: onnx.ModelProto, place: _Place) -> onnx.ModelProto:
    features = _features(forward, place)
    image = next(info for info in forward.graph.input if info.name == IMAGE)
    nodes = [*place.before, helper.make_node("Identity", [place.value], [FEATURES], FEATURES)]
    return _reduced(forward, nodes, [image], [features])


def _rest(model: onnx.ModelProto, place: _Place) -> onnx.ModelProto:
    before = {node.output[0] for node in place.before}
    copies: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.output[0] in before:
            continue
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [
            FEATURES if name == place.value or (_is_batch(node) and name == IMAGE) else name for name in node.input
        ]
        copies.append(copy)
    inputs = [_features(model, place), *(info for info in model.graph.input if info.name != IMAGE)]
    return _reduced(model, copies, inputs, model.graph.output)


def _features(model: onnx.ModelProto, place: _Place) -> onnx.ValueInfoProto:
    kind = onnx.TensorProto.FLOAT
    return helper.make_tensor_value_info(FEATURES, kind, list(shapes_of(model)[place.value]))


def _reduced(
    model: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """A model of some of the nodes, with the constants and shapes that they read."""
    kept = onnx.ModelProto()
    kept.CopyFrom(model)
    graph = kept.graph
    given = [onnx.ValueInfoProto.FromString(info.SerializeToString()) for info in inputs]
    results = [onnx.ValueInfoProto.FromString(info.SerializeToString()) for info in outputs]
    replace_nodes(graph, nodes)
    read = {name for node in graph.node for name in node.input}
    made = {name for node in graph.node for name in node.output}
    constants = [tensor for tensor in graph.initializer if tensor.name in read]
    infos = [info for info in graph.value_info if info.name in made]
    for field, values in (
        (graph.initializer, [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in constants]),
        (graph.value_info, [onnx.ValueInfoProto.FromString(info.SerializeToString()) for info in infos]),
    ):
        del field[:]
        field.extend(values)
    del graph.input[:], graph.output[:]
    graph.input.extend(info for info in given if info.name in read or info.name in (IMAGE, FEATURES, LABELS))
    graph.output.extend(results)
    return kept
