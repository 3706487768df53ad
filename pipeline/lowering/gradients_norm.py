"""Normalisation and its gradients."""

from __future__ import annotations

from collections.abc import Callable

from onnx import TensorProto

from pipeline.lowering.graph import Graph, Shape, Value
from pipeline.lowering.layout import batch_first, batch_last, known_batch_last
from pipeline.lowering.rules import Node, lowers


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
    x, give_back = _in_rows(node, g, 1, images)
    dy = gradient
    if known_batch_last(g, images):
        dy, shape = _rows(g, gradient, int(shape[1])), (1, shape[1], "")
    axes = [axis for axis in range(len(shape)) if axis != 1]
    centred = g.op("Sub", x, _per_channel(g, mean, shape))
    dbias = g.sum(dy, axes)
    product = g.sum(g.op("Mul", dy, centred), axes)
    count = g.op("Div", g.op("Cast", g.op("Size", x), to=TensorProto.FLOAT), g.floats(int(shape[1])))
    factor = g.op("Mul", scale, inverse_deviation)
    dscale = g.op("Mul", product, inverse_deviation)
    slope = g.op("Div", g.op("Mul", g.op("Mul", factor, inverse_deviation), dscale), count)
    # factor × (dy − mean of dy) in one pass over dy: inference with a variance of 1.
    level = g.op("Div", dbias, count)
    zeros, ones = g.floats([0.0] * int(shape[1])), g.floats([1.0] * int(shape[1]))
    scaled = g.op("BatchNormalization", dy, factor, zeros, level, ones, epsilon=0.0)
    dx = g.op("Sub", scaled, g.op("Mul", centred, _per_channel(g, slope, shape)))
    return give_back(dx), dscale, dbias


def _in_rows(node: Node, g: Graph, index: int, images: Value) -> tuple[Value, Callable[[Value], Value]]:
    """Images that are there with the batch last as 1×C×(H·W·N), and the way back; any others as they are."""
    if not known_batch_last(g, images):
        return images, lambda value: value
    size = [int(length) for length in node.input_shape(index)[1:]]
    return _rows(g, images, size[0]), lambda value: batch_first(g, g.op("Reshape", value, g.ints([*size, -1])))


def _rows(g: Graph, images: Value, channels: int) -> Value:
    return g.op("Reshape", batch_last(g, images), g.ints([1, channels, -1]))


def _per_channel(g: Graph, value: Value, shape: Shape) -> Value:
    """C as C×1×…, which broadcasts along the second axis of N×C×…."""
    return g.op("Reshape", value, g.ints([-1, *[1] * (len(shape) - 2)]))
