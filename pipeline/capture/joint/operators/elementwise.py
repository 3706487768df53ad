"""Arithmetic, comparisons and functions of single elements."""

from __future__ import annotations

import math

import torch

from pipeline.capture.joint.operators.call import Call, Tensor, Writer, translates
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
    "acosh": "Acosh",
    "asinh": "Asinh",
    "atanh": "Atanh",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "erf": "Erf",
    "sign": "Sign",
    "sgn": "Sign",
    "ceil": "Ceil",
    "floor": "Floor",
}


@translates("mul", "div", "maximum", "minimum")
def binary(call: Call, g: Writer) -> Value:
    """mul(self, other); div, maximum and minimum alike."""
    dtype = call.result.dtype
    left, right = g.operand(call["self"], dtype), g.operand(call["other"], dtype)
    if dtype == torch.bool:
        return g.op("Or" if call.name == "maximum" else "And", left, right)
    mode = call.get("rounding_mode")
    if mode == "floor":
        return _floor_quotient(g, left, right, dtype)
    quotient = g.op(_BINARY[call.name], left, right)
    return _truncated(g, quotient) if mode == "trunc" and dtype.is_floating_point else quotient


def _floor_quotient(g: Writer, left: Value, right: Value, dtype: torch.dtype) -> Value:
    """Of what the remainder leaves, as torch has it: 1 / 0.1 is 9, as 0.1 in float32 is above a tenth."""
    whole = g.op("Sub", left, _remainder(g, left, right, dtype))
    quotient = g.op("Div", whole, right)
    return g.op("Round", quotient) if dtype.is_floating_point else quotient


def _remainder(g: Writer, left: Value, right: Value, dtype: torch.dtype) -> Value:
    """With the sign of the divisor."""
    if not dtype.is_floating_point:
        return g.op("Mod", left, right)
    rest, zero = g.op("Mod", left, right, fmod=1), g.floats(0.0)
    other_sign = g.op("Less", g.op("Mul", g.op("Sign", rest), g.op("Sign", right)), zero)
    return g.op("Where", other_sign, g.op("Add", rest, right), rest)


def _truncated(g: Writer, value: Value) -> Value:
    return g.op("Mul", g.op("Sign", value), g.op("Floor", g.op("Abs", value)))


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
    return g.op("Mod", left, right, fmod=1) if call.name == "fmod" else _remainder(g, left, right, dtype)


@translates(*_UNARY)
def unary(call: Call, g: Writer) -> Value:
    """abs(self), and other functions that ONNX has under another name."""
    return g.op(_UNARY[call.name], g.operand(call["self"], call.result.dtype))


@translates("round")
def rounded(call: Call, g: Writer) -> Value:
    """round(self, decimals=0): half to even."""
    x, decimals = call["self"].value, call.get("decimals", 0)
    if not decimals:
        return g.op("Round", x)
    factor, moved, back = g.floats(10.0 ** abs(decimals)), "Mul", "Div"
    if decimals < 0:
        moved, back = back, moved
    return g.op(back, g.op("Round", g.op(moved, x, factor)), factor)


@translates("rsqrt")
def reciprocal_of_root(call: Call, g: Writer) -> Value:
    """rsqrt(self) → 1 / √self."""
    return g.op("Reciprocal", g.op("Sqrt", call["self"].value))


@translates("expm1", "log1p", "log2", "log10", "exp2")
def logarithm(call: Call, g: Writer) -> Value:
    """expm1(self) → eˣ − 1; log1p → log(1 + x); logarithms and powers of other bases."""
    x, one = call["self"].value, g.floats(1.0)
    if call.name == "expm1":
        # Not the difference, of which near 0 nothing is left.
        return g.op("Mul", g.op("Tanh", g.op("Mul", x, g.floats(0.5))), g.op("Add", g.op("Exp", x), one))
    if call.name == "log1p":
        # What 1 + x loses of a small x, the quotient gives back.
        total = g.op("Add", x, one)
        kept = g.op("Sub", total, one)
        nothing = g.op("Equal", kept, g.floats(0.0))
        share = g.op("Div", x, g.op("Where", nothing, one, kept))
        return g.op("Where", nothing, x, g.op("Mul", g.op("Log", total), share))
    if call.name == "exp2":
        return g.op("Exp", g.op("Mul", x, g.floats(math.log(2))))
    return g.op("Mul", g.op("Log", x), g.floats(1 / math.log(2 if call.name == "log2" else 10)))


@translates("trunc", "fix")
def truncated(call: Call, g: Writer) -> Value:
    """trunc(self)."""
    return _truncated(g, call["self"].value)


@translates("clamp", "clamp_min", "clamp_max")
def clamp(call: Call, g: Writer) -> Value:
    """clamp(self, min=None, max=None); of tensors too."""
    dtype = call.result.dtype
    value = g.operand(call["self"], dtype)
    low, high = call.get("min"), call.get("max")
    if low is not None:
        value = g.op("Max", value, g.operand(low, dtype))
    return value if high is None else g.op("Min", value, g.operand(high, dtype))


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


@translates("atan2")
def arctangent_of_two(call: Call, g: Writer) -> Value:
    """atan2(self, other)."""
    dtype = call.result.dtype
    return angle_of(g, g.operand(call["self"], dtype), g.operand(call["other"], dtype))


def angle_of(g: Writer, y: Value, x: Value) -> Value:
    """The angle of the point (x, y), from −π to π."""
    zero, right = g.floats(0.0), g.floats(math.pi / 2)
    # By the larger of both, so that no quotient is beyond float32; of (0, 0) it is 0.
    steep = g.op("Greater", g.op("Abs", y), g.op("Abs", x))
    divisor = g.op("Where", steep, y, x)
    divisor = g.op("Where", g.op("Equal", divisor, zero), g.floats(1.0), divisor)
    turned = g.op("Atan", g.op("Div", g.op("Where", steep, x, y), divisor))
    up = g.op("Where", g.op("Less", y, zero), g.op("Neg", right), right)
    flat = g.op("Where", g.op("Less", x, zero), g.op("Mul", up, g.floats(2.0)), zero)
    return g.op("Where", steep, g.op("Sub", up, turned), g.op("Add", flat, turned))


@translates("angle")
def angle(call: Call, g: Writer) -> Value:
    """angle(self): of a number below 0 it is π."""
    return g.op("Where", g.op("Less", call["self"].value, g.floats(0.0)), g.floats(math.pi), g.floats(0.0))


@translates("hypot")
def hypotenuse(call: Call, g: Writer) -> Value:
    """hypot(self, other)."""
    left, right = call["self"].value, call["other"].value
    return g.op("Sqrt", g.op("Add", g.op("Mul", left, left), g.op("Mul", right, right)))


@translates("fmax", "fmin")
def number_of_two(call: Call, g: Writer) -> Value:
    """fmax(self, other), fmin(self, other): where one is NaN, the other."""
    left, right = call["self"].value, call["other"].value
    kind = "Max" if call.name == "fmax" else "Min"
    of_numbers = g.op("Where", g.op("IsNaN", right), left, g.op(kind, left, right))
    return g.op("Where", g.op("IsNaN", left), right, of_numbers)


@translates("erfc")
def error_function_complement(call: Call, g: Writer) -> Value:
    """erfc(self) → 1 − erf(self)."""
    return g.op("Sub", g.floats(1.0), g.op("Erf", call["self"].value))


@translates("__lshift__", "__rshift__", "bitwise_left_shift", "bitwise_right_shift")
def shift(call: Call, g: Writer) -> Value:
    """__lshift__(self, other) → self × 2^other; __rshift__ the floor of self / 2^other."""
    dtype = call.result.dtype
    factor = g.cast(g.op("Pow", g.floats(2.0), g.operand(call["other"], torch.float32)), dtype)
    value = g.operand(call["self"], dtype)
    if call.name in ("__lshift__", "bitwise_left_shift"):
        return g.op("Mul", value, factor)
    return _floor_quotient(g, value, factor, dtype)
