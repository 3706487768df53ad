"""Gradients of normalisation."""

from __future__ import annotations

from pipeline.lowering.graph import Graph, Value
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
