"""Products and quotients of the training graph that the standard has not."""

from __future__ import annotations

from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.node import Node
from pipeline.lowering.rules.registry import lowers


@lowers("FusedMatMul")
def fused_mat_mul(node: Node, g: Graph) -> Value:
    """FusedMatMul(a, b) → alpha × aᵀ b or a bᵀ: each transposed in its last two axes where the attribute says so."""
    factors = [_transposed(node, g, index, side) for index, side in enumerate(("A", "B"))]
    product = g.op("MatMul", *factors)
    alpha = float(node.attributes.get("alpha", 1.0))
    return product if alpha == 1.0 else g.op("Mul", product, g.floats(alpha))


@lowers("DivGrad")
def div_grad(node: Node, g: Graph) -> tuple[Value, ...]:
    """DivGrad(dy, a, b) → da = dy / b, db = −dy × a / b², each summed over the axes it was broadcast along."""
    dy, a, b = node.inputs
    shape, a_shape, b_shape = (node.input_shape(index) for index in range(3))
    quotient = g.op("Div", dy, b)
    return (
        _sum_to(g, quotient, shape, a_shape) if node.wants(0) else "",
        _sum_to(g, g.op("Neg", g.op("Mul", quotient, g.op("Div", a, b))), shape, b_shape) if node.wants(1) else "",
    )


def _transposed(node: Node, g: Graph, index: int, side: str) -> Value:
    """A factor as the product takes it: `trans` swaps the last two axes, before it `transBatch` puts axis 0 behind."""
    value = node.inputs[index]
    batch, last = (bool(node.attributes.get(f"{name}{side}", 0)) for name in ("transBatch", "trans"))
    if not batch and not last:
        return value
    rank = len(node.input_shape(index))
    perm = [*range(1, rank - 1), 0, rank - 1] if batch else list(range(rank))
    if last:
        perm[-2], perm[-1] = perm[-1], perm[-2]
    return g.op("Transpose", value, perm=perm)


def _sum_to(g: Graph, value: Value, shape: Shape, wanted: Shape) -> Value:
    missing = len(shape) - len(wanted)
    axes = [axis for axis, size in enumerate(shape) if axis < missing or wanted[axis - missing] != size]
    if not axes:
        return value
    return g.reshape(g.sum(value, axes, keepdims=True), wanted)
