"""Normalisation by the root mean square, which onnxruntime-training finds in x × rsqrt(mean(x²) + ε) × scale."""

from __future__ import annotations

from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node
from pipeline.lowering.rules.registry import lowers


@lowers("SimplifiedLayerNormalization")
def simplified_layer_normalization(node: Node, g: Graph) -> tuple[Value, ...]:
    """SimplifiedLayerNormalization(x, scale) → x / rms × scale, 1/rms. Zhang and Sennrich, arXiv:1910.07467."""
    x, scale = node.inputs
    mean = g.op("ReduceMean", g.op("Mul", x, x), axes=_inner(node, 0))
    epsilon = g.floats(node.attributes.get("epsilon", 1e-5))
    inverse = g.op("Div", g.floats(1.0), g.op("Sqrt", g.op("Add", mean, epsilon)))
    return g.op("Mul", g.op("Mul", x, inverse), scale), inverse


@lowers("SimplifiedLayerNormalizationGrad")
def simplified_layer_normalization_grad(node: Node, g: Graph) -> tuple[Value, ...]:
    """SimplifiedLayerNormalizationGrad(dy, x, scale, 1/rms) → dx, dscale."""
    dy, x, scale, inverse = node.inputs
    inner = _inner(node, 1)
    normal = g.op("Mul", x, inverse)
    scaled = g.op("Mul", dy, scale)
    shared = g.op("Mul", normal, g.op("ReduceMean", g.op("Mul", scaled, normal), axes=inner))
    return (
        g.op("Mul", g.op("Sub", scaled, shared), inverse),
        g.sum(g.op("Mul", dy, normal), list(range(inner[0]))) if node.wants(1) else "",
    )


def _inner(node: Node, index: int) -> list[int]:
    """The axes from the attribute's on, which are normalised together."""
    rank = len(node.input_shape(index))
    return list(range(int(node.attributes.get("axis", -1)) % rank, rank))
