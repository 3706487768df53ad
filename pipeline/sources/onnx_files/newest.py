"""ONNX models of opsets 22 and 23, in opset 21, the last that onnx 1.16.2 reads.

Opset 22 has but further types of what was there before, and so has 23, where three operators are new: two are said here
in the older ones, the third, RotaryEmbedding, is left, and refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import helper

from pipeline.errors import LoweringError, ModelError
from pipeline.graphs.edits import replace_nodes
from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node, decorator_of
from pipeline.graphs.reading import opset_of, read_values, shapes_of

# Of the standard: the last that onnx's checker knows, and the last whose operators are known here.
KNOWN, NEWEST = 21, 23

# Given the operator, the graph and what TensorProto type a value has.
Rewrite = Callable[[Node, Graph, Mapping[Value, int]], Value]

# Operators that opset 21 has not.
NEW: dict[str, Rewrite] = {}
new = decorator_of(NEW)

# Below every logit, and finite: a row that is masked whole would be NaN.
_MASKED = float(np.finfo(np.float32).min)


def in_opset_21(model: onnx.ModelProto) -> None:
    """Says a model of opset 22 or 23 in opset 21, in place; all values keep their names.

    Raises:
      ModelError: an operator has a form that is not known here.
    """
    if not KNOWN < opset_of(model) <= NEWEST:
        return
    for opset in model.opset_import:
        opset.version = KNOWN if opset.domain in ("", "ai.onnx") else opset.version
    while node := next((node for node in model.graph.node if _is_new(node)), None):
        _rewrite(model, node)


def _is_new(node: onnx.NodeProto) -> bool:
    return node.op_type in NEW and node.domain in ("", "ai.onnx")


def _rewrite(model: onnx.ModelProto, proto: onnx.NodeProto) -> None:
    """Rewrites one: what follows a new operator has known shapes once that is gone."""
    inferred, g = onnx.shape_inference.infer_shapes(model), Graph.beside(model)
    node = Node.of(proto, proto.input, shapes_of(inferred), read_values(model))
    try:
        value = NEW[proto.op_type](node, g, _types_of(inferred))
    except LoweringError as error:
        raise ModelError(f"{error}; or with opset_version={KNOWN}") from error
    g.nodes.append(helper.make_node("Identity", [value], [proto.output[0]], proto.output[0]))
    nodes = [other for node in model.graph.node for other in (g.nodes if node is proto else [node])]
    replace_nodes(model.graph, nodes)
    model.graph.initializer.extend(g.constants.values())


def _types_of(model: onnx.ModelProto) -> dict[Value, int]:
    graph = model.graph
    infos = (*graph.input, *graph.value_info, *graph.output)
    return {info.name: info.type.tensor_type.elem_type for info in infos} | {
        tensor.name: tensor.data_type for tensor in graph.initializer
    }


@new("RMSNormalization")
def rms_normalization(node: Node, g: Graph, types: Mapping[Value, int]) -> Value:
    """RMSNormalization(x, scale) → x / √(mean(x²) + ε) × scale, the mean over `axis` and what follows it.

    Zhang and Sennrich, arXiv:1910.07467.
    """
    x, scale = node.inputs
    first = int(node.attributes.get("axis", -1))
    axes = range(first, 0) if first < 0 else range(first, len(node.input_shape(0)))
    mean = g.op("ReduceMean", g.op("Mul", x, x), g.ints(list(axes)), keepdims=1)
    root = g.op("Sqrt", g.op("Add", mean, g.floats(node.attributes.get("epsilon", 1e-5))))
    return g.op("Mul", g.op("Div", x, root), scale)


@new("Attention")
def attention(node: Node, g: Graph, types: Mapping[Value, int]) -> Value:
    """Attention(q, k, v, mask) → softmax(q kᵀ × scale + mask) v, heads apart. Vaswani et al., arXiv:1706.03762.

    q is N×heads×L×D or N×L×(heads·D), and so are k and v, of which several heads of q may share one; a mask is added,
    or tells what takes part.
    """
    _check_attention(node)
    q, k, v = (_heads(node, index, g) for index in range(3))
    size = _head_size(node)
    scale = node.attributes.get("scale", 1 / math.sqrt(size))
    scores = g.op("Mul", g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2])), g.floats(scale))
    for mask in _masks(node, g, types):
        scores = g.op("Add", scores, mask)
    result = g.op("MatMul", g.op("Softmax", scores, axis=-1), v)
    if len(node.input_shape(0)) == 4:
        return result
    return g.op("Reshape", g.op("Transpose", result, perm=[0, 2, 1, 3]), g.ints([0, 0, -1]))


def _check_attention(node: Node) -> None:
    has_past = any(node.inputs[4:])
    has_more = any(node.wants(index) for index in range(1, len(node.outputs)))
    if has_past or has_more or node.attributes.get("softcap", 0.0):
        raise LoweringError(
            f"Attention (node {node.name!r}) with past keys, a soft cap or further outputs is not known here: "
            "export it without them"
        )


def _head_count(node: Node, index: int) -> int:
    shape = node.input_shape(index)
    heads = shape[1] if len(shape) == 4 else node.attributes["kv_num_heads" if index else "q_num_heads"]
    return int(heads)


def _head_size(node: Node) -> int:
    shape = node.input_shape(0)
    return int(shape[3]) if len(shape) == 4 else int(shape[2]) // _head_count(node, 0)


def _heads(node: Node, index: int, g: Graph) -> Value:
    """q, k or v as N×heads×L×D, as many heads as q has."""
    value, heads, shared = node.inputs[index], _head_count(node, 0), _head_count(node, index)
    if len(node.input_shape(index)) == 3:
        value = g.op("Transpose", g.op("Reshape", value, g.ints([0, 0, shared, -1])), perm=[0, 2, 1, 3])
    if shared == heads:
        return value
    copies = [g.op("Unsqueeze", value, g.ints([2]))] * (heads // shared)
    length = node.input_shape(index)[-2]
    if not isinstance(length, int):
        raise _unknown_length(node)
    return g.op("Reshape", g.op("Concat", *copies, axis=2), g.ints([0, heads, length, -1]))


def _unknown_length(node: Node) -> LoweringError:
    return LoweringError(
        f"Attention (node {node.name!r}) over an unknown length is not known here: export it with static shapes but "
        "for the batch"
    )


def _masks(node: Node, g: Graph, types: Mapping[Value, int]) -> list[Value]:
    """What is added to the scores."""
    masks: list[Value] = []
    given = node.inputs[3] if len(node.inputs) > 3 else ""
    if given and types.get(given) == onnx.TensorProto.BOOL:
        masks.append(g.op("Where", given, g.floats(0.0), g.floats(_MASKED)))
    elif given:
        masks.append(given)
    if node.attributes.get("is_causal", 0):
        rows, columns = (node.input_shape(index)[-2] for index in (0, 1))
        if not isinstance(rows, int) or not isinstance(columns, int):
            raise _unknown_length(node)
        masks.append(g.floats(np.triu(np.full((rows, columns), _MASKED, np.float32), 1)))
    return masks
