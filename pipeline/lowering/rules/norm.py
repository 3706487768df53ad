"""Normalisation and its gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node
from pipeline.graphs.rows import ones_for, sum_of_rows
from pipeline.lowering.convolutions.layout import Order, batch_first, batch_last, is_batch_last, order_of
from pipeline.lowering.rules.batch import batch_size
from pipeline.lowering.rules.registry import lowers


@lowers("LayerNormalizationGrad")
def layer_normalization_grad(node: Node, g: Graph) -> tuple[Value, ...]:
    """LayerNormalizationGrad(dy, x, scale, mean, 1/std) → dx, dscale, dbias. Ba et al., arXiv:1607.06450."""
    dy, x, scale, mean, inverse_std = node.inputs
    shape = node.input_shape(1)
    axis = int(node.attributes.get("axis", -1)) % len(shape)
    rows, width = shape[:axis], math.prod(int(size) for size in shape[axis:])
    dy, x, mean, inverse_std = (
        g.op("Reshape", value, g.ints([-1, length]))
        for value, length in ((dy, width), (x, width), (mean, 1), (inverse_std, 1))
    )
    product = g.op("Mul", dy, x)
    # −1/C Σ over each row of dy × scale, and of dy × scale × x; as products, one pass each.
    column = g.op("Reshape", g.op("Mul", scale, g.floats(-1 / width)), g.ints([width, 1]))
    of_dy, of_product = g.op("MatMul", dy, column), g.op("MatMul", product, column)
    # dx = dy × scale / std + slope × (x − mean) + offset, of which the last two are one number for each row.
    slope = g.op("Mul", g.op("Sub", of_product, g.op("Mul", mean, of_dy)), _cube(g, inverse_std))
    offset = g.op("Mul", inverse_std, of_dy)
    from_dy = g.op("Mul", dy, g.op("MatMul", inverse_std, g.op("Reshape", scale, g.ints([1, width]))))
    from_x = _rows_centred(g, x, mean, slope, offset, ones_for(g, x, rows))
    dx = g.reshape(g.op("Add", from_dy, from_x), shape)
    if not node.wants(1) and not node.wants(2):
        return dx, "", ""
    # Σ over the rows, dy × (x − mean) / std without x − mean (docs/decisions.md).
    by_x = g.op("MatMul", g.op("Reshape", inverse_std, g.ints([1, -1])), product)
    by_mean = g.op("MatMul", g.op("Reshape", g.op("Mul", inverse_std, mean), g.ints([1, -1])), dy)
    return (
        dx,
        g.op("Reshape", g.op("Sub", by_x, by_mean), g.ints(shape[axis:])),
        g.op("Reshape", sum_of_rows(g, dy, rows), g.ints(shape[axis:])),
    )


def _cube(g: Graph, x: Value) -> Value:
    return g.op("Mul", g.op("Mul", x, x), x)


def _rows_centred(g: Graph, x: Value, mean: Value, factor: Value, offset: Value, ones: Value) -> Value:
    """(x − mean) × factor + offset of a matrix with one number of each for each row, in one pass.

    As inference of batch normalisation whose channels are the rows: Mul and Add take two to four times as long for
    numbers that are broadcast along short rows.
    """
    statistics = (g.op("Reshape", value, g.ints([-1])) for value in (factor, offset, mean, ones))
    rows = g.op("Unsqueeze", x, g.ints([0]))
    return g.op("Squeeze", g.op("BatchNormalization", rows, *statistics, epsilon=0.0), g.ints([0]))


@lowers("BatchNormInternal")
def batch_norm_internal(node: Node, g: Graph) -> tuple[Value, ...]:
    """BatchNormInternal(x N×C×…, scale, bias, mean, variance) → y, new mean, new variance; and those of the batch.

    Ioffe and Szegedy, arXiv:1502.03167. As in torch, the batch's variance is the biased one, and the unbiased one goes
    into the running variance.
    """
    images, scale, bias, mean, variance = node.inputs
    x, give_back = _in_rows(node, g, 0, images)
    epsilon, keep = node.attributes.get("epsilon", 1e-5), node.attributes.get("momentum", 0.9)
    # With a momentum of 0, the operator's new running statistics are those of the batch. ONNX Runtime writes them over
    # its fourth and fifth input whoever else reads these: each node gets two vectors of its own.
    own = [g.op("Mul", statistic, g.floats(0.0)) for statistic in (mean, variance)]
    y, batch_mean, batch_variance = g.ops(
        "BatchNormalization", x, scale, bias, *own, outputs=3, epsilon=epsilon, momentum=0.0, training_mode=1
    )
    count = _per_channel(node, 0, g)
    unbiased = g.op("Mul", batch_variance, g.op("Div", count, g.op("Sub", count, g.floats(1.0))))
    deviation = g.op("Sqrt", g.op("Add", batch_variance, g.floats(epsilon)))
    return (
        give_back(y),
        g.blend(mean, batch_mean, keep),
        g.blend(variance, unbiased, keep),
        batch_mean,
        g.op("Reciprocal", deviation),
    )


@lowers("BatchNormalizationGrad")
def batch_normalization_grad(node: Node, g: Graph) -> tuple[Value, ...]:
    """BatchNormalizationGrad(dy, x N×C×…, scale, batch mean, 1/deviation) → dx, dscale, dbias."""
    gradient, images, scale, mean, inverse_deviation = node.inputs
    shape = node.input_shape(1)
    channels = int(shape[1])
    x, give_back = _in_rows(node, g, 1, images)
    if is_batch_last(g, images):
        dy = _rows(g, gradient, order_of(g, images), channels)
        dbias, by_x = g.sum(dy, [0, 2]), _products_of_rows(g, dy, x)
    else:
        dy, axes = gradient, [axis for axis in range(len(shape)) if axis != 1]
        dbias, by_x = g.sum(dy, axes), g.sum(g.op("Mul", dy, x), axes)
    # Σ dy × (x − mean) without x − mean. It loses no more digits: the mean's own rounding error costs the longer way
    # as many (docs/decisions.md).
    dscale = g.op("Mul", g.op("Sub", by_x, g.op("Mul", mean, dbias)), inverse_deviation)
    count = _per_channel(node, 1, g)
    factor = g.op("Mul", scale, inverse_deviation)
    slope = g.op("Div", g.op("Mul", g.op("Mul", factor, inverse_deviation), dscale), count)
    # factor × (dy − mean of dy) − slope × (x − mean)
    from_dy = _centred_times(g, dy, g.op("Div", dbias, count), factor, channels)
    from_x = _centred_times(g, x, mean, g.op("Neg", slope), channels)
    return give_back(g.op("Add", from_dy, from_x)), dscale, dbias


def _in_rows(node: Node, g: Graph, index: int, images: Value) -> tuple[Value, Callable[[Value], Value]]:
    """Images that are there with the batch last as 1×C×(H·W·N), and the way back; any others as they are."""
    if not is_batch_last(g, images):
        return images, lambda value: value
    size, order = [int(length) for length in node.input_shape(index)[1:]], order_of(g, images)
    return (
        _rows(g, images, order, size[0]),
        lambda value: batch_first(g, g.op("Reshape", value, g.ints([*size, -1])), order),
    )


def _rows(g: Graph, images: Value, order: Order, channels: int) -> Value:
    return g.op("Reshape", batch_last(g, images, order), g.ints([1, channels, -1]))


def _per_channel(node: Node, index: int, g: Graph) -> Value:
    """Elements of each channel of the input at `index`, float32, of the batch: asked for its size, x would be kept."""
    pixels = math.prod(int(size) for size in node.input_shape(index)[2:])
    return g.op("Mul", batch_size(g), g.floats(pixels))


def _products_of_rows(g: Graph, a: Value, b: Value) -> Value:
    """The scalar product of each channel of 1×C×L with the same of the other: C. As a product, one pass over both."""
    product = g.op("MatMul", g.op("Transpose", a, perm=[1, 0, 2]), g.op("Transpose", b, perm=[1, 2, 0]))
    return g.op("Reshape", product, g.ints([-1]))


def _centred_times(g: Graph, x: Value, mean: Value, factor: Value, channels: int) -> Value:
    """Takes its mean off each channel of x, and multiplies, in one pass: inference with a variance of 1."""
    zeros, ones = g.floats([0.0] * channels), g.floats([1.0] * channels)
    return g.op("BatchNormalization", x, factor, zeros, mean, ones, epsilon=0.0)
