"""Normalisation and its gradients."""

from __future__ import annotations

from collections.abc import Callable

from onnx import TensorProto

from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node
from pipeline.lowering.convolutions.layout import Order, batch_first, batch_last, is_batch_last, order_of
from pipeline.lowering.rules.registry import lowers


@lowers("LayerNormalizationGrad")
def layer_normalization_grad(node: Node, g: Graph) -> tuple[Value, ...]:
    """LayerNormalizationGrad(dy, x, scale, mean, 1/std) → dx, dscale, dbias. Ba et al., arXiv:1607.06450."""
    dy, x, scale, mean, inverse_std = node.inputs
    rank = len(node.input_shape(1))
    axis = int(node.attributes.get("axis", -1)) % rank
    inner, outer = list(range(axis, rank)), list(range(axis))
    normal = g.op("Mul", g.op("Sub", x, mean), inverse_std)
    scaled = g.op("Mul", dy, scale)
    mean_scaled = g.op("ReduceMean", scaled, axes=inner)
    mean_product = g.op("ReduceMean", g.op("Mul", scaled, normal), axes=inner)
    centred = g.op("Sub", g.op("Sub", scaled, mean_scaled), g.op("Mul", normal, mean_product))
    return (
        g.op("Mul", centred, inverse_std),
        g.sum(g.op("Mul", dy, normal), outer) if node.wants(1) else "",
        g.sum(dy, outer) if node.wants(2) else "",
    )


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
    channels = int(node.input_shape(0)[1])
    count = g.op("Div", g.op("Cast", g.op("Size", x), to=TensorProto.FLOAT), g.floats(channels))
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
    count = g.op("Div", g.op("Cast", g.op("Size", x), to=TensorProto.FLOAT), g.floats(channels))
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


def _products_of_rows(g: Graph, a: Value, b: Value) -> Value:
    """The scalar product of each channel of 1×C×L with the same of the other: C. As a product, one pass over both."""
    product = g.op("MatMul", g.op("Transpose", a, perm=[1, 0, 2]), g.op("Transpose", b, perm=[1, 2, 0]))
    return g.op("Reshape", product, g.ints([-1]))


def _centred_times(g: Graph, x: Value, mean: Value, factor: Value, channels: int) -> Value:
    """Takes its mean off each channel of x, and multiplies, in one pass: inference with a variance of 1."""
    zeros, ones = g.floats([0.0] * channels), g.floats([1.0] * channels)
    return g.op("BatchNormalization", x, factor, zeros, mean, ones, epsilon=0.0)
