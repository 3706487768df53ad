"""Finds convolution, ReLU and max pooling in a training graph and puts `pooled_conv`'s operators in their place.

And max pooling whose positions are read as numbers, which is put there twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import helper

from pipeline.graphs.edits import replace_nodes
from pipeline.graphs.graph import Shape
from pipeline.graphs.node import attributes_of
from pipeline.lowering.convolutions.windows import Axis, axes_of, image_axes
from pipeline.lowering.rules.pooled_conv import BACKWARD, FORWARD, Sizes

# The patches are kept until the backward pass; past this, per image, they cost more than they save.
COLUMNS_LIMIT = 150_000

# What reads the positions of maxima as they are handed on.
_GRADIENT = "MaxPoolGrad"


def fuse(model: onnx.ModelProto, shapes: dict[str, Shape]) -> onnx.ModelProto:
    """The training graph with Conv → [Relu] → MaxPool, and their gradients, as PooledConv and PooledConvGrad.

    Only what is used by nothing else, has stride, dilation and group 1 and no padding, and whose pooling windows tile
    the convolution's output. Positions of maxima that are read as numbers come from a MaxPool of their own.

    Args:
      model: is left as it is.
      shapes: those of its values; takes those of new ones.
    """
    fused = onnx.ModelProto()
    fused.CopyFrom(model)
    _put_positions_apart(fused.graph, shapes)
    for pool in [node for node in fused.graph.node if node.op_type == "MaxPool" and len(node.output) == 2]:
        chain = _find_chain(fused.graph, pool)
        if chain and _worthwhile(chain, shapes):
            _replace(fused.graph, chain)
    return fused


def _put_positions_apart(graph: onnx.GraphProto, shapes: dict[str, Shape]) -> None:
    """Adds a max pooling for positions alone wherever anything but its gradient reads them.

    The gradient's are no numbers (`rules/pool.py`); a gradient of a gradient gathers by them, and so does unpooling.

    Args:
      graph: is changed.
      shapes: those of its values; takes those of the new ones.
    """
    numbers: dict[str, str] = {}
    for place, pool in reversed([*enumerate(graph.node)]):
        positions = pool.output[1] if pool.op_type == "MaxPool" and len(pool.output) > 1 else ""
        if positions and any(positions in node.input for node in graph.node if node.op_type != _GRADIENT):
            numbers[positions] = f"{positions}/as numbers"
            alone = onnx.NodeProto()
            alone.CopyFrom(pool)
            alone.output[:] = ["", numbers[positions]]
            graph.node.insert(place + 1, alone)
            if positions in shapes:
                shapes[numbers[positions]] = shapes[positions]
    for node in graph.node if numbers else ():
        if node.op_type != _GRADIENT:
            node.input[:] = [numbers.get(name, name) for name in node.input]


@dataclass(frozen=True)
class _Chain:
    conv: onnx.NodeProto
    relu: onnx.NodeProto | None
    pool: onnx.NodeProto
    pool_grad: onnx.NodeProto
    relu_grad: onnx.NodeProto | None
    conv_grad: onnx.NodeProto


def _find_chain(graph: onnx.GraphProto, pool: onnx.NodeProto) -> _Chain | None:
    producer = {output: node for node in graph.node for output in node.output if output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in set(node.input):
            readers.setdefault(name, []).append(node)

    def only_reader(name: str, op_type: str) -> onnx.NodeProto | None:
        nodes = readers.get(name, [])
        return nodes[0] if len(nodes) == 1 and nodes[0].op_type == op_type else None

    before = producer.get(pool.input[0])
    relu = before if before is not None and before.op_type == "Relu" else None
    conv = producer.get(relu.input[0]) if relu is not None else before
    pool_grad = only_reader(pool.output[1], _GRADIENT)
    if conv is None or conv.op_type != "Conv" or pool_grad is None:
        return None
    relu_grad = only_reader(pool_grad.output[0], "ReluGrad") if relu is not None else None
    last = relu_grad if relu_grad is not None else pool_grad
    conv_grad = only_reader(last.output[0], "ConvGrad")
    if conv_grad is None or (relu is not None and relu_grad is None):
        return None
    inside = {_key(node) for node in (relu, pool, relu_grad) if node is not None}
    values = [conv.output[0], *(relu.output if relu is not None else [])]
    outputs = {output.name for output in graph.output}
    if any(value in outputs or any(_key(n) not in inside for n in readers.get(value, [])) for value in values):
        return None
    return _Chain(conv, relu, pool, pool_grad, relu_grad, conv_grad)


def _worthwhile(chain: _Chain, shapes: dict[str, Shape]) -> bool:
    conv, pool = attributes_of(chain.conv), attributes_of(chain.pool)
    x, w = (shapes.get(name) for name in chain.conv.input[:2])
    axes = image_axes(conv, x, w)
    if axes is None or x is None or w is None or conv.get("group", 1) != 1:
        return False
    windows = axes_of(pool, [axis.out for axis in axes], pool["kernel_shape"])
    plain = all(axis == Axis(axis.size, axis.out, axis.kernel) for axis in axes)
    tiling = all(
        window == Axis(window.size, window.out, window.kernel, window.kernel) and window.size % window.kernel == 0
        for window in windows
    )
    return plain and tiling and Sizes.of(x, w, pool["kernel_shape"]).columns <= COLUMNS_LIMIT


def _replace(graph: onnx.GraphProto, chain: _Chain) -> None:
    window = attributes_of(chain.pool)["kernel_shape"]
    attributes = {"window": window, "relu": int(chain.relu is not None)}
    forward = helper.make_node(FORWARD, list(chain.conv.input), list(chain.pool.output), chain.conv.name, **attributes)
    backward = helper.make_node(
        BACKWARD,
        [chain.pool_grad.input[0], chain.pool.output[1], *chain.conv_grad.input[1:3]],
        list(chain.conv_grad.output),
        chain.conv_grad.name,
        **attributes,
    )
    gone = [chain.conv, chain.relu, chain.pool_grad, chain.relu_grad]
    # Compared by output: protobuf hands out a new object for the same node each time.
    gone_outputs = {node.output[0] for node in gone if node is not None}
    swaps = {chain.pool.output[0]: forward, _key(chain.conv_grad): backward}
    nodes = (swaps.get(_key(node), node) for node in graph.node if not gone_outputs.intersection(node.output))
    replace_nodes(graph, nodes)


def _key(node: onnx.NodeProto) -> str:
    return next((name for name in node.output if name), node.name)
