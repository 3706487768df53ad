"""Comparisons, logic, and the choice between two."""

from __future__ import annotations

import torch

from pipeline.capture.joint.operators.call import Call, Tensor, UntranslatedError, Writer, translates
from pipeline.graphs.graph import Value

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


@translates(*_COMPARISONS)
def comparison(call: Call, g: Writer) -> Value:
    """eq(self, other), and other comparisons; of logical values and, or, xor."""
    left, right = call["self"], call["other"]
    operator = _COMPARISONS[call.name]
    dtype = torch.bool if operator in ("And", "Or", "Xor") else _common(left, right)
    if call.name.startswith("bitwise") and call.result.dtype != torch.bool:
        raise UntranslatedError("of integers; of bits compute with // and %, or compare and use bool")
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
    """logical_not(self); bitwise_not(self) of an integer is −1 − self."""
    dtype = call.result.dtype
    if dtype != torch.bool:
        return g.op("Sub", g.number(-1, dtype), call["self"].value)
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


@translates("isnan", "isinf")
def not_a_number(call: Call, g: Writer) -> Value:
    """isnan(self), isinf(self)."""
    return g.op("IsNaN" if call.name == "isnan" else "IsInf", call["self"].value)


@translates("signbit")
def signbit(call: Call, g: Writer) -> Value:
    """signbit(self): −0 has it too."""
    return _signed(g, g.as_type(call["self"], torch.float32))


def _signed(g: Writer, x: Value) -> Value:
    zero = g.floats(0.0)
    return g.op("Or", g.op("Less", x, zero), g.op("Less", g.op("Reciprocal", x), zero))


@translates("copysign")
def copysign(call: Call, g: Writer) -> Value:
    """copysign(self, other): self with the sign of other."""
    length, other = g.op("Abs", call["self"].value), g.operand(call["other"], torch.float32)
    return g.op("Where", _signed(g, other), g.op("Neg", length), length)
