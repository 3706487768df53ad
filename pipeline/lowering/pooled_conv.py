"""Convolution, ReLU and max pooling as one matrix product per position in the pooling window.

Where the windows tile the output, output pixels that share a position ("phase") in their window are computed together:
each phase is one product of the weights with the gathered input columns (im2col, Chellapilla et al., 2006), and pooling
is the element-wise maximum of the phases, without a pooling operator. The backward pass reuses the columns: the weight
gradient is again one product per phase, and the first maximum of each window is found by comparing phases in order.
The batch is the innermost axis inside, so that the runtime gathers runs of N floats.

Against Conv, MaxPool and the gradient as a convolution, LeNet's step takes 0.6 of the time (docs/decisions.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from pipeline.lowering.graph import Graph, Shape, Value
from pipeline.lowering.rules import Node, lowers

FORWARD, BACKWARD = "PooledConv", "PooledConvGrad"

# The columns of all phases are kept until the backward pass; past this, per image, they cost more than they save.
COLUMNS_LIMIT = 150_000


@dataclass(frozen=True)
class _Sizes:
    """Sizes of one pooled convolution: input C×H×W, kernel M×C×KH×KW, pooled output M×PH×PW."""

    channels: int
    height: int
    width: int
    out_channels: int
    kernel: tuple[int, int]
    window: tuple[int, int]

    @classmethod
    def of(cls, x: Shape, w: Shape, window: Sequence[int]) -> _Sizes:
        _, channels, height, width = (0, *(int(size) for size in x[1:]))
        out_channels, _, *kernel = (int(size) for size in w)
        return cls(channels, height, width, out_channels, (kernel[0], kernel[1]), (window[0], window[1]))

    @property
    def pooled(self) -> tuple[int, int]:
        return (
            (self.height - self.kernel[0] + 1) // self.window[0],
            (self.width - self.kernel[1] + 1) // self.window[1],
        )

    @property
    def taps(self) -> int:
        """Rows of the column matrix."""
        return self.channels * math.prod(self.kernel)

    @property
    def columns(self) -> int:
        """Elements of all phases' columns for one image."""
        return self.taps * math.prod(self.pooled) * math.prod(self.window)

    def indices(self, phase: int) -> np.ndarray:
        """For one phase, the pixel that each kernel tap reads for each pooled pixel: int64, (KH·KW·PH·PW)."""
        row, column = divmod(phase, self.window[1])
        tap_rows, tap_columns, out_rows, out_columns = np.ix_(
            range(self.kernel[0]), range(self.kernel[1]), range(self.pooled[0]), range(self.pooled[1])
        )
        rows = out_rows * self.window[0] + row + tap_rows
        columns = out_columns * self.window[1] + column + tap_columns
        return np.ravel(rows * self.width + columns)


@lowers(FORWARD)
def pooled_conv(node: Node, g: Graph) -> tuple[Value, ...]:
    """PooledConv(x N×C×H×W, w M×C×KH×KW, [b M]) → y N×M×PH×PW, and the gradient's key to the columns."""
    sizes = _Sizes.of(node.input_shape(0), node.input_shape(1), node.attributes["window"])
    x = _batch_last(g, node.inputs[0])
    pixels = g.op("Reshape", x, g.ints([sizes.channels, sizes.height * sizes.width, -1]))
    weights = g.op("Reshape", node.inputs[1], g.ints([sizes.out_channels, sizes.taps]))
    columns, phases = [], []
    for phase in range(math.prod(sizes.window)):
        gathered = g.op("Gather", pixels, g.ints(sizes.indices(phase)), axis=1)
        # 0 keeps nothing here: the taps of one channel and the channels merge, pixels and batch merge.
        columns.append(_columns(g, gathered, sizes))
        phases.append(g.op("MatMul", weights, columns[-1]))
    maximum = g.op("Max", *phases)
    y = maximum
    if len(node.inputs) > 2 and node.inputs[2]:
        y = g.op("Add", y, g.op("Reshape", node.inputs[2], g.ints([-1, 1])))
    if node.attributes["relu"]:
        y = g.op("Relu", y)
    g.remember(node.outputs[1], (maximum, y, *columns, *phases))
    shaped = g.op("Reshape", y, g.ints([sizes.out_channels, *sizes.pooled, -1]))
    images = g.op("Transpose", shaped, perm=[3, 0, 1, 2])
    g.remember(_batch_last_key(images), (shaped,))
    return images, node.outputs[1]


@lowers(BACKWARD)
def pooled_conv_grad(node: Node, g: Graph) -> tuple[Value, ...]:
    """PooledConvGrad(dy N×M×PH×PW, columns, x, w) → dx, dw, db."""
    dy, handle, _, w = node.inputs
    sizes = _Sizes.of(node.input_shape(2), node.input_shape(3), node.attributes["window"])
    count = math.prod(sizes.window)
    maximum, y, *kept = g.recall(handle)
    columns, phases = kept[:count], kept[count:]
    gradient = g.op("Reshape", _batch_last(g, dy), g.ints([sizes.out_channels, -1]))
    zero = g.floats(0.0)
    if node.attributes["relu"]:
        gradient = g.op("Where", g.op("Greater", y, zero), gradient, zero)
    db = g.sum(gradient, [1]) if node.wants(2) else ""
    gradients = _to_first_maximum(g, gradient, phases, maximum)
    dw = g.op("Gemm", gradients[0], columns[0], transB=1)
    for phase_gradient, phase_columns in zip(gradients[1:], columns[1:], strict=True):
        dw = g.op("Gemm", phase_gradient, phase_columns, dw, transB=1)
    dw = g.op("Reshape", dw, g.ints([sizes.out_channels, sizes.channels, *sizes.kernel]))
    return _input_gradient(g, gradients, w, sizes) if node.wants(0) else "", dw, db


def _columns(g: Graph, gathered: Value, sizes: _Sizes) -> Value:
    """C × (KH·KW·PH·PW) × N as a matrix of taps × (PH·PW·N): the order in memory is already that one."""
    return g.op("Reshape", gathered, g.ints([sizes.taps, -1]))


def _to_first_maximum(g: Graph, gradient: Value, phases: Sequence[Value], maximum: Value) -> list[Value]:
    """Gives each window's gradient to the first phase that holds its maximum; the last phase takes what is left."""
    zero = g.floats(0.0)
    parts: list[Value] = []
    for phase in phases[:-1]:
        is_maximum = g.op("Equal", phase, maximum)
        parts.append(g.op("Where", is_maximum, gradient, zero))
        gradient = g.op("Where", is_maximum, zero, gradient)
    return [*parts, gradient]


def _input_gradient(g: Graph, gradients: Sequence[Value], w: Value, sizes: _Sizes) -> Value:
    """Interleaves the phases into the unpooled gradient and convolves it, transposed, with the weights."""
    (height, width), (rows, columns) = sizes.pooled, sizes.window
    stacked = g.op("Concat", *gradients, axis=0)
    values = g.op("Reshape", stacked, g.ints([rows * columns * sizes.out_channels * height * width, -1]))
    # Rows of N floats first, then a plain transpose: the runtime is eight times as fast at it as at one of six axes.
    order = np.arange(rows * columns * sizes.out_channels * height * width)
    order = order.reshape(rows, columns, sizes.out_channels, height, width).transpose(2, 3, 0, 4, 1)
    interleaved = g.op("Transpose", g.op("Gather", values, g.ints(order.ravel()), axis=0), perm=[1, 0])
    dy = g.op("Reshape", interleaved, g.ints([-1, sizes.out_channels, height * rows, width * columns]))
    return g.op("ConvTranspose", dy, w)


def _batch_last(g: Graph, images: Value) -> Value:
    """N×C×H×W as C×H×W×N; a pooled convolution's output is already there in that order."""
    known = g.recall_or_none(_batch_last_key(images))
    return known[0] if known else g.op("Transpose", images, perm=[1, 2, 3, 0])


def _batch_last_key(images: Value) -> str:
    return f"batch last/{images}"


def fuse(model: onnx.ModelProto, shapes: dict[str, Shape]) -> onnx.ModelProto:
    """The training graph with Conv → [Relu] → MaxPool, and their gradients, as PooledConv and PooledConvGrad.

    Only what is used by nothing else, has stride, dilation and group 1 and no padding, and whose pooling windows tile
    the convolution's output.
    """
    fused = onnx.ModelProto()
    fused.CopyFrom(model)
    for pool in [node for node in fused.graph.node if node.op_type == "MaxPool" and len(node.output) == 2]:
        chain = _find_chain(fused.graph, pool)
        if chain and _worthwhile(chain, shapes):
            _replace(fused.graph, chain)
    return fused


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
    pool_grad = only_reader(pool.output[1], "MaxPoolGrad")
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
    conv = {a.name: helper.get_attribute_value(a) for a in chain.conv.attribute}
    pool = {a.name: helper.get_attribute_value(a) for a in chain.pool.attribute}
    x, w = shapes.get(chain.conv.input[0]), shapes.get(chain.conv.input[1])
    if x is None or w is None or len(x) != 4 or not all(isinstance(size, int) for size in x[1:]):
        return False
    plain = all(value == 1 for name in ("strides", "dilations") for value in conv.get(name, [])) and not any(
        [*conv.get("pads", []), *pool.get("pads", [])]
    )
    plain = plain and all(a.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID") for a in (conv, pool))
    window = list(pool["kernel_shape"])
    if not plain or conv.get("group", 1) != 1 or list(pool.get("strides", [1, 1])) != window:
        return False
    if any(value != 1 for value in pool.get("dilations", [])):
        return False
    sizes = _Sizes.of(x, w, window)
    tiles = all((int(total) - k + 1) % size == 0 for total, k, size in zip(x[2:], sizes.kernel, window, strict=True))
    return tiles and sizes.columns <= COLUMNS_LIMIT


def _replace(graph: onnx.GraphProto, chain: _Chain) -> None:
    window = next(helper.get_attribute_value(a) for a in chain.pool.attribute if a.name == "kernel_shape")
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
    nodes = [swaps.get(_key(node), node) for node in graph.node if not gone_outputs.intersection(node.output)]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _key(node: onnx.NodeProto) -> str:
    return next((name for name in node.output if name), node.name)
