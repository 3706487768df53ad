"""Arithmetic, comparisons and functions of single elements."""

from __future__ import annotations

import math

import torch

from pipeline.capture.joint.operators.call import Call, Tensor, UntranslatedError, Writer, translates
from pipeline.graphs.graph import Value

_BINARY = {"mul": "Mul", "div": "Div", "maximum": "Max", "minimum": "Min"}
_UNARY = {
    "abs": "Abs",
    "neg": "Neg",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "reciprocal": "Reciprocal",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "asin": "Asin",
    "acos": "Acos",
    "atan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "erf": "Erf",
    "sign": "Sign",
    "sgn": "Sign",
    "ceil": "Ceil",
    "floor": "Floor",
    "round": "Round",
}
_COMPARISONS = {
    "eq": "Equal",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "lt": "Less",
    "le": "LessOrEqual",
    "logical_and": "And",
    "logical_or": "Or",
    "logical_xor": "Xor",
    "bitwise_and": "And",
    "bitwise_or": "Or",
    "bitwise_xor": "Xor",
}


def _dtype_of(argument: object) -> torch.dtype | None:
    return argument.dtype if isinstance(argument, Tensor) else None


def _common(*arguments: object) -> torch.dtype:
    """The type in which torch compares or computes with these: of tensors that of the highest kind, else float32."""
    dtypes = [dtype for argument in arguments if (dtype := _dtype_of(argument))]
    common = dtypes[0] if dtypes else torch.float32
    for dtype in dtypes[1:]:
        common = torch.promote_types(common, dtype)
    numbers = [argument for argument in arguments if isinstance(argument, float)]
    return torch.float32 if numbers and not common.is_floating_point else common


@translates("mul", "div", "maximum", "minimum")
def binary(call: Call, g: Writer) -> Value:
    """mul(self, other); div, maximum and minimum alike."""
    dtype = call.result.dtype
    left, right = g.operand(call["self"], dtype), g.operand(call["other"], dtype)
    if dtype == torch.bool:
        return g.op("Or" if call.name == "maximum" else "And", left, right)
    quotient = g.op(_BINARY[call.name], left, right)
    mode = call.get("rounding_mode")
    if mode == "floor":
        return g.op("Floor", quotient) if dtype.is_floating_point else quotient
    if mode == "trunc" and dtype.is_floating_point:
        return g.op("Mul", g.op("Sign", quotient), g.op("Floor", g.op("Abs", quotient)))
    return quotient


@translates("add", "sub", "rsub")
def sum_of_two(call: Call, g: Writer) -> Value:
    """add(self, other, alpha=1) → self + alpha × other; sub and rsub alike."""
    dtype, alpha = call.result.dtype, call.get("alpha", 1)
    left, right = g.operand(call["self"], dtype), g.operand(call["other"], dtype)
    if call.name == "rsub":
        left, right = right, left
    if alpha != 1:
        right = g.op("Mul", right, g.number(alpha, dtype))
    if call.name != "add":
        return g.op("Sub", left, right)
    return _joined(g, left, right) or g.op("Add", left, right)


def _joined(g: Writer, left: Value, right: Value) -> Value | None:
    """The gradients of all parts of a tensor, one after another instead of padded and added."""
    first, second = g.parts.get(left), g.parts.get(right)
    both = first.with_those_of(second) if first and second else None
    if both is None:
        return None
    if both.cover():
        return g.op("Concat", *(value for value, _ in both.pieces.values()), axis=both.axis)
    total = g.op("Add", left, right)
    g.parts[total] = both
    return total


@translates("addcmul", "addcdiv")
def add_of_two(call: Call, g: Writer) -> Value:
    """addcmul(self, tensor1, tensor2, value=1) → self + value × tensor1 × tensor2; addcdiv divides."""
    dtype = call.result.dtype
    first, second = (g.operand(call[name], dtype) for name in ("tensor1", "tensor2"))
    product = g.op("Mul" if call.name == "addcmul" else "Div", first, second)
    scaled = product if call["value"] == 1 else g.op("Mul", product, g.number(call["value"], dtype))
    return g.op("Add", g.operand(call["self"], dtype), scaled)


@translates("pow")
def power(call: Call, g: Writer) -> Value:
    """pow(self, exponent)."""
    dtype = call.result.dtype
    base, exponent = g.operand(call["self"], dtype), call["exponent"]
    if exponent == 2 and not isinstance(exponent, Tensor):
        return g.op("Mul", base, base)
    return g.op("Pow", base, g.operand(exponent, dtype))


@translates("remainder", "fmod")
def remainder(call: Call, g: Writer) -> Value:
    """remainder(self, other): with the sign of the divisor; fmod: with that of the dividend."""
    dtype = call.result.dtype
    left, right = g.operand(call["self"], dtype), g.operand(call["other"], dtype)
    if call.name == "remainder" and dtype.is_floating_point:
        return g.op("Sub", left, g.op("Mul", g.op("Floor", g.op("Div", left, right)), right))
    return g.op("Mod", left, right, fmod=int(call.name == "fmod"))


@translates(*_UNARY)
def unary(call: Call, g: Writer) -> Value:
    """abs(self), and other functions that ONNX has under another name."""
    return g.op(_UNARY[call.name], g.operand(call["self"], call.result.dtype))


@translates("rsqrt")
def reciprocal_of_root(call: Call, g: Writer) -> Value:
    """rsqrt(self) → 1 / √self."""
    return g.op("Reciprocal", g.op("Sqrt", call["self"].value))


@translates("expm1", "log1p", "log2", "log10", "exp2")
def logarithm(call: Call, g: Writer) -> Value:
    """expm1(self) → eˣ − 1; log1p → log(1 + x); logarithms and powers of other bases."""
    x, one = call["self"].value, g.floats(1.0)
    if call.name == "expm1":
        return g.op("Sub", g.op("Exp", x), one)
    if call.name == "log1p":
        return g.op("Log", g.op("Add", x, one))
    if call.name == "exp2":
        return g.op("Exp", g.op("Mul", x, g.floats(math.log(2))))
    return g.op("Mul", g.op("Log", x), g.floats(1 / math.log(2 if call.name == "log2" else 10)))


@translates("trunc", "fix")
def truncated(call: Call, g: Writer) -> Value:
    """trunc(self)."""
    x = call["self"].value
    return g.op("Mul", g.op("Sign", x), g.op("Floor", g.op("Abs", x)))


@translates(*_COMPARISONS)
def comparison(call: Call, g: Writer) -> Value:
    """eq(self, other), and other comparisons; of logical values and, or, xor."""
    left, right = call["self"], call["other"]
    operator = _COMPARISONS[call.name]
    dtype = torch.bool if operator in ("And", "Or", "Xor") else _common(left, right)
    if call.name.startswith("bitwise") and call.result.dtype != torch.bool:
        raise UntranslatedError("of integers")
    if dtype == torch.bool and operator in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        dtype = torch.int64
    return g.op(operator, g.operand(left, dtype), g.operand(right, dtype))


@translates("ne")
def unequal(call: Call, g: Writer) -> Value:
    """ne(self, other)."""
    dtype = _common(call["self"], call["other"])
    return g.op("Not", g.op("Equal", g.operand(call["self"], dtype), g.operand(call["other"], dtype)))


@translates("logical_not", "bitwise_not")
def opposite(call: Call, g: Writer) -> Value:
    """logical_not(self)."""
    if call.name == "bitwise_not" and call.result.dtype != torch.bool:
        raise UntranslatedError("of integers")
    return g.op("Not", g.as_type(call["self"], torch.bool))


@translates("where")
def where(call: Call, g: Writer) -> Value:
    """where(condition, self, other)."""
    dtype = call.result.dtype
    return g.op("Where", call["condition"].value, g.operand(call["self"], dtype), g.operand(call["other"], dtype))


@translates("masked_fill")
def masked_fill(call: Call, g: Writer) -> Value:
    """masked_fill(self, mask, value)."""
    dtype = call.result.dtype
    return g.op("Where", call["mask"].value, g.operand(call["value"], dtype), call["self"].value)


@translates("clamp", "clamp_min", "clamp_max")
def clamp(call: Call, g: Writer) -> Value:
    """clamp(self, min=None, max=None); of tensors too."""
    dtype = call.result.dtype
    value = g.operand(call["self"], dtype)
    low, high = call.get("min"), call.get("max")
    if low is not None:
        value = g.op("Max", value, g.operand(low, dtype))
    return value if high is None else g.op("Min", value, g.operand(high, dtype))


@translates("isnan", "isinf")
def not_a_number(call: Call, g: Writer) -> Value:
    """isnan(self), isinf(self)."""
    return g.op("IsNaN" if call.name == "isnan" else "IsInf", call["self"].value)


@translates("_to_copy", "to")
def to_copy(call: Call, g: Writer) -> Value:
    """_to_copy(self, dtype=None): in another type."""
    return g.as_type(call["self"], call.result.dtype)


@translates("clone", "detach", "alias", "lift_fresh_copy", "lift_fresh", "contiguous", "copy", "view_as_real_copy")
def same(call: Call, g: Writer) -> Value:
    """clone(self), detach and others that change nothing here; copy(self, src) is src."""
    if call.name == "copy":
        src, result = call["src"], call.result
        value = g.as_type(src, result.dtype)
        return value if src.shape == result.shape else g.op("Expand", value, g.op("Shape", call["self"].value))
    return str(call["self"].value)
