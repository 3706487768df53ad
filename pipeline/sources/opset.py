"""ONNX models of opset 18 and later, in opset 17.

That is what torch exports today, and onnxruntime-training and the lowered graphs end at opset 17. onnx's own converter
knows no way down from opset 19 on, and crashes on a ReduceMean of opset 18 without axes. Most of what changed since 17
are the types that operators take; the rest is undone here, operator by operator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.errors import ModelError
from pipeline.graphs.edits import replace_nodes
from pipeline.graphs.graph import OPSET, Graph, Shape, Value
from pipeline.graphs.node import Node, attributes_of, decorator_of
from pipeline.graphs.reading import opset_of, read_values, shapes_of

Rewrite = Callable[[Node, Graph], Value]

# Operators that opset 17 has not, or has with other inputs.
NEWER: dict[str, Rewrite] = {}
newer = decorator_of(NEWER)

# Reductions whose axes have become an input; those of ReduceSum were one before.
_REDUCTIONS = tuple(
    f"Reduce{name}" for name in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
)


class _UnknownError(Exception):
    """What an operator has that opset 17 lacks."""


def in_opset_17(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model of a later opset; all values keep their names.

    Raises:
      ModelError: operators have no form in opset 17, all of them in one message.
    """
    shapes, read = shapes_of(onnx.shape_inference.infer_shapes(model)), read_values(model)
    g, constants, unknown = Graph.beside(model), _constants(model), list[str]()
    for proto in model.graph.node:
        try:
            if proto.domain not in ("", "ai.onnx"):
                g.nodes.append(proto)
            elif proto.op_type in NEWER:
                value = NEWER[proto.op_type](Node.of(proto, proto.input, shapes, read), g)
                g.nodes.append(helper.make_node("Identity", [value], [proto.output[0]], proto.output[0]))
            else:
                g.nodes.append(_older(proto, opset_of(model), constants, shapes))
        except _UnknownError as reason:
            unknown.append(f"{proto.op_type} (node {proto.name!r}){reason}")
    if unknown:
        raise ModelError(f"opset {opset_of(model)}, of which opset {OPSET} has no {', no '.join(unknown)}")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    replace_nodes(copy.graph, g.nodes)
    copy.graph.initializer.extend(g.constants.values())
    for opset in copy.opset_import:
        opset.version = OPSET if opset.domain in ("", "ai.onnx") else opset.version
    return copy


@newer("Gelu")
def gelu(node: Node, g: Graph) -> Value:
    """Gelu(x) → x × (1 + erf(x / √2)) / 2, or its approximation by tanh. Hendrycks and Gimpel, arXiv:1606.08415."""
    x, one = node.inputs[0], g.floats(1.0)
    if node.attributes.get("approximate", b"none") == b"tanh":
        cube = g.op("Mul", g.op("Mul", g.op("Mul", x, x), x), g.floats(0.044715))
        share = g.op("Tanh", g.op("Mul", g.op("Add", x, cube), g.floats(math.sqrt(2 / math.pi))))
    else:
        share = g.op("Erf", g.op("Div", x, g.floats(math.sqrt(2))))
    return g.op("Mul", g.op("Mul", x, g.op("Add", share, one)), g.floats(0.5))


@newer("Mish")
def mish(node: Node, g: Graph) -> Value:
    """Mish(x) → x × tanh(softplus(x)). Misra, arXiv:1908.08681."""
    return g.op("Mul", node.inputs[0], g.op("Tanh", g.op("Softplus", node.inputs[0])))


@newer("GroupNormalization")
def group_normalization(node: Node, g: Graph) -> Value:
    """GroupNormalization(x N×C×…, scale, bias) → InstanceNormalization of groups. Wu and He, arXiv:1803.08494.

    Scale and bias are those of channels, or, in opset 18 to 20, of groups.
    """
    x, scale, bias = node.inputs
    groups, by_group = int(node.attributes["num_groups"]), node.input_shape(1) == (node.attributes["num_groups"],)
    # As nodes: initializers would be taken for parameters.
    ones, zeros = (g.op("Constant", value=numpy_helper.from_array(np.full(groups, v, np.float32))) for v in (1, 0))
    normal = g.op(
        "InstanceNormalization",
        g.op("Reshape", x, g.ints([0, groups, -1])),
        *((scale, bias) if by_group else (ones, zeros)),
        epsilon=node.attributes.get("epsilon", 1e-5),
    )
    shaped = g.op("Reshape", normal, g.op("Shape", x))
    if by_group:
        return shaped
    axes = g.ints(list(range(1, len(node.input_shape(0)) - 1)))
    factor, summand = (g.op("Unsqueeze", value, axes) for value in (scale, bias))
    return g.op("Add", g.op("Mul", shaped, factor), summand)


def _older(
    proto: onnx.NodeProto, version: int, constants: Mapping[str, np.ndarray], shapes: Mapping[str, Shape]
) -> onnx.NodeProto:
    """The same operator as opset 17 has it."""
    if not onnx.defs.has(proto.op_type, OPSET):
        raise _UnknownError
    old, new = (onnx.defs.get_schema(proto.op_type, opset) for opset in (OPSET, version))
    copy = onnx.NodeProto()
    copy.CopyFrom(proto)
    if proto.op_type in _REDUCTIONS:
        _axes_as_attribute(copy, constants)
    elif proto.op_type == "Split":
        _split_evenly(copy, shapes)
    for attribute in [attribute for attribute in copy.attribute if attribute.name not in old.attributes]:
        if not _changes_nothing(attribute, new):
            raise _UnknownError(f" with {attribute.name}")
        copy.attribute.remove(attribute)
    if len(copy.input) > old.max_input:
        raise _UnknownError(f" with {len(copy.input)} inputs")
    return copy


def _axes_as_attribute(reduction: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> None:
    axes = reduction.input[1] if len(reduction.input) > 1 else ""
    del reduction.input[1:]
    if axes and axes not in constants:
        raise _UnknownError(" with computed axes")
    if axes and constants[axes].size:
        reduction.attribute.append(helper.make_attribute("axes", constants[axes].tolist()))


def _split_evenly(split: onnx.NodeProto, shapes: Mapping[str, Shape]) -> None:
    """Opset 17 splits evenly by the number of outputs, where there is no rest."""
    shape = shapes.get(split.input[0])
    size = shape[attributes_of(split).get("axis", 0)] if shape else None
    for parts in [attribute for attribute in split.attribute if attribute.name == "num_outputs"]:
        if not isinstance(size, int) or size % parts.i:
            raise _UnknownError(" into uneven parts")
        split.attribute.remove(parts)


def _changes_nothing(attribute: onnx.AttributeProto, schema: onnx.defs.OpSchema) -> bool:
    """Whether an attribute that opset 17 lacks is at its default."""
    value, known = helper.get_attribute_value(attribute), schema.attributes.get(attribute.name)
    if attribute.name == "dilations":
        # Their default depends on the axes and stands nowhere.
        return set(value) == {1}
    default = known.default_value if known else None
    return default is not None and default.type == attribute.type and helper.get_attribute_value(default) == value


def _constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The integers that the model gives, among them all axes, by name."""
    integers = [tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.INT64]
    given = {tensor.name: numpy_helper.to_array(tensor) for tensor in integers}
    for node in model.graph.node:
        attributes = attributes_of(node)
        if node.op_type == "Constant" and "value" in attributes:
            given[node.output[0]] = numpy_helper.to_array(attributes["value"])
        elif node.op_type == "Constant" and "value_ints" in attributes:
            given[node.output[0]] = np.array(attributes["value_ints"], np.int64)
    return given
