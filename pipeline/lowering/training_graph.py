"""onnxruntime-training's graph, node by node, into operators of the ONNX standard."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from pipeline.errors import LoweringError
from pipeline.graphs.graph import OPSET, Graph, Shape, Value
from pipeline.graphs.node import Node
from pipeline.graphs.reading import read_values, shapes_of
from pipeline.lowering.convolutions.layout import ELEMENTWISE, all_batch_last, batch_first, common_order, common_shape
from pipeline.lowering.fusion import fuse
from pipeline.lowering.rules.registry import RULES


def lower(
    model: onnx.ModelProto, g: Graph, given: Mapping[str, Value], known_shapes: Mapping[str, Shape]
) -> dict[str, Value]:
    """Writes every node of `model` into `g`.

    Args:
      model: a training or eval graph of onnxruntime-training, or the preprocessing.
      g: takes the nodes.
      given: for each input of `model`, the value of `g` that stands for it.
      known_shapes: shapes of values of which `model` itself does not tell the shape.

    Returns:
      For each value of `model`, the value of `g` that stands for it.

    Raises:
      LoweringError: operators that no rule knows, all of them in one message.
    """
    _check_known(model)
    shapes = {**known_shapes, **shapes_of(model)}
    model = fuse(model, shapes)
    values = dict(given)
    values.update({tensor.name: g.tensor(tensor) for tensor in model.graph.initializer})
    sizes: dict[str, Shape] = {}
    read = read_values(model)
    scalars = _spread_scalars(model, shapes)
    for proto in model.graph.node:
        _note_shape(proto, shapes, sizes)
        if proto.output[0] in scalars:
            values[proto.output[0]], shapes[proto.output[0]] = values[proto.input[0]], ()
            continue
        inputs = [values[name] if name else "" for name in proto.input]
        input_shapes = [shapes.get(name) for name in proto.input]
        shape = common_shape(g, proto.op_type, inputs, input_shapes)
        if shape:
            order = common_order(g, inputs, input_shapes, shape)
            inputs = all_batch_last(g, inputs, input_shapes, shape, order)
            shapes.setdefault(proto.output[0], shape)
        rule = RULES.get(proto.op_type)
        returned = rule(Node.of(proto, inputs, shapes, read), g) if rule else g.copy(proto, inputs)
        results = (returned,) if isinstance(returned, str) else returned
        if shape:
            results = tuple(batch_first(g, result, order) if result else "" for result in results)
        values.update({name: value for name, value in zip(proto.output, results, strict=False) if name})
    return values


def _spread_scalars(model: onnx.ModelProto, shapes: Mapping[str, Shape]) -> set[str]:
    """Single numbers that are spread over a shape which every reader's other operand has: they are taken as they are.

    With the batch's size fixed, the runtime would fold them to tensors of constants, as large as an activation each.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    results = {output.name for output in model.graph.output}

    def is_spread_anyway(name: str) -> bool:
        return all(
            node.op_type in ELEMENTWISE
            and any(other != name and shapes.get(other) == shapes[name] for other in node.input)
            for node in readers.get(name, [])
        )

    return {
        node.output[0]
        for node in model.graph.node
        if node.op_type == "Expand"
        and shapes.get(node.input[0]) == ()
        and node.output[0] in shapes
        and node.output[0] not in results
        and is_spread_anyway(node.output[0])
    }


def _check_known(model: onnx.ModelProto) -> None:
    """Refuses operators that no rule knows and the standard has not, all of them in one message."""
    unknown = [
        f"{node.domain or 'ai.onnx'}:{node.op_type} (node {node.name!r})"
        for node in model.graph.node
        if node.op_type not in RULES and not _is_standard(node)
    ]
    if unknown:
        raise LoweringError(
            f"no form in the ONNX standard is known for {', '.join(unknown)}: "
            "replace the operator in the model, or freeze the parameters before it; docs/operators.md lists what works"
        )


def _note_shape(proto: onnx.NodeProto, shapes: dict[str, Shape], sizes: dict[str, Shape]) -> None:
    """Follows a static shape through Shape to what takes it on, for which shape inference has no answer."""
    if proto.op_type == "Shape" and proto.input[0] in shapes and not any(a.i for a in proto.attribute):
        sizes[proto.output[0]] = shapes[proto.input[0]]
    elif proto.op_type in ("Expand", "Reshape") and proto.input[1] in sizes:
        shapes.setdefault(proto.output[0], sizes[proto.input[1]])
    elif proto.op_type == "Scale" and proto.input[0] in shapes:
        shapes.setdefault(proto.output[0], shapes[proto.input[0]])


def _is_standard(proto: onnx.NodeProto) -> bool:
    return proto.domain in ("", "ai.onnx") and onnx.defs.has(proto.op_type, OPSET)
