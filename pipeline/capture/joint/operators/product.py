"""Matrix products; a transposed matrix is read as it lies."""

from __future__ import annotations

from typing import Any

from pipeline.capture.joint.operators.call import Call, Tensor, Writer, translates
from pipeline.graphs.graph import Value


@translates("mm")
def mm(call: Call, g: Writer) -> Value:
    """mm(self, mat2)."""
    return _gemm(g, call["self"], call["mat2"])


@translates("addmm")
def addmm(call: Call, g: Writer) -> Value:
    """addmm(self, mat1, mat2, beta=1, alpha=1) → beta × self + alpha × mat1 mat2."""
    alpha, beta = float(call["alpha"]), float(call["beta"])
    return _gemm(g, call["mat1"], call["mat2"], call["self"].value, alpha=alpha, beta=beta)


def _gemm(g: Writer, left: Tensor, right: Tensor, *bias: Value, **factors: float) -> Value:
    a, b = (g.transposed.get(side.value, side.value) for side in (left, right))
    flags = {"transA": int(a != left.value), "transB": int(b != right.value)}
    given: dict[str, Any] = {**flags, **{name: factor for name, factor in factors.items() if factor != 1}}
    return g.op("Gemm", a, b, *bias, **{name: value for name, value in given.items() if value})


@translates("bmm")
def bmm(call: Call, g: Writer) -> Value:
    """bmm(self, mat2)."""
    return g.op("MatMul", call["self"].value, call["mat2"].value)


@translates("baddbmm")
def baddbmm(call: Call, g: Writer) -> Value:
    """baddbmm(self, batch1, batch2, beta=1, alpha=1)."""
    product = g.op("MatMul", call["batch1"].value, call["batch2"].value)
    if call["alpha"] != 1:
        product = g.op("Mul", product, g.floats(float(call["alpha"])))
    bias = call["self"].value
    return g.op("Add", bias if call["beta"] == 1 else g.op("Mul", bias, g.floats(float(call["beta"]))), product)


@translates("addbmm")
def addbmm(call: Call, g: Writer) -> Value:
    """addbmm(self, batch1, batch2, beta=1, alpha=1) → beta × self + alpha × the sum of all products: one product."""
    first, second = call["batch1"], call["batch2"]
    rows, columns = (g.ints([size, -1]) for size in (first.static(1), second.static(2)))
    left = g.op("Reshape", g.op("Transpose", first.value, perm=[1, 0, 2]), rows)
    right = g.op("Reshape", g.op("Transpose", second.value, perm=[2, 0, 1]), columns)
    factors = {"alpha": float(call["alpha"]), "beta": float(call["beta"])}
    return g.op("Gemm", left, right, call["self"].value, transB=1, **factors)


@translates("mv")
def mv(call: Call, g: Writer) -> Value:
    """mv(self, vec): a product with a column: ONNX Runtime 1.19.2 is wrong of a transposed matrix and a vector."""
    vector: Tensor = call["vec"]
    column = Tensor(g.op("Unsqueeze", vector.value, g.ints([1])), (*vector.shape, 1), vector.dtype)
    return g.op("Squeeze", _gemm(g, call["self"], column), g.ints([1]))


@translates("dot", "vdot")
def dot(call: Call, g: Writer) -> Value:
    """dot(self, tensor), vdot(self, other)."""
    other = call.get("tensor") or call["other"]
    return g.sum(g.op("Mul", call["self"].value, other.value), [0])


@translates("t", "transpose", "permute")
def permute(call: Call, g: Writer) -> Value:
    """permute(self, dims), t(self), transpose(self, dim0, dim1)."""
    tensor: Tensor = call["self"]
    order = list(range(tensor.rank))
    if call.name == "permute":
        order = [int(axis) % tensor.rank for axis in call["dims"]]
    elif tensor.rank > 1:
        first, second = (0, 1) if call.name == "t" else (call.axis("dim0", tensor), call.axis("dim1", tensor))
        order[first], order[second] = order[second], order[first]
    if order == sorted(order):
        return tensor.value
    if tensor.rank != 2:
        return g.op("Transpose", tensor.value, perm=order)
    if tensor.value in g.transposed:
        return g.transposed[tensor.value]
    value = g.op("Transpose", tensor.value, perm=order)
    g.transposed[value] = tensor.value
    return value
