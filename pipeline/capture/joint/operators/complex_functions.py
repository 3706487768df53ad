"""Functions of single complex numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline.capture.joint.operators.call import (
    RULES,
    Call,
    Complex,
    Tensor,
    UntranslatedError,
    Writer,
    translates_complex,
)
from pipeline.capture.joint.operators.complex import parts_of
from pipeline.capture.joint.operators.elementwise import angle_of
from pipeline.graphs.graph import Value


@translates_complex("polar")
def polar(call: Call, g: Writer) -> Complex:
    """polar(abs, angle)."""
    return _from_polar(g, call["abs"].value, call["angle"].value)


@translates_complex("div")
def quotient(call: Call, g: Writer) -> Complex:
    """div(self, other)."""
    return _quotient(g, call["self"], call["other"])


@translates_complex("reciprocal")
def reciprocal(call: Call, g: Writer) -> Complex:
    """reciprocal(self)."""
    return _quotient(g, 1.0, call["self"])


def _quotient(g: Writer, left: Any, right: Any) -> Complex:
    """Left × conj(right) / abs(right)²."""
    (a, b), (c, d) = parts_of(g, left), parts_of(g, right)
    if d is None:
        return Complex(g.op("Div", a, c), g.op("Div", b or g.floats(0.0), c))
    square = _square(g, c, d)
    real, imaginary = g.op("Mul", a, c), g.op("Neg", g.op("Mul", a, d))
    if b:
        real = g.op("Add", real, g.op("Mul", b, d))
        imaginary = g.op("Add", imaginary, g.op("Mul", b, c))
    return Complex(g.op("Div", real, square), g.op("Div", imaginary, square))


def _square(g: Writer, real: Value, imaginary: Value) -> Value:
    return g.op("Add", g.op("Mul", real, real), g.op("Mul", imaginary, imaginary))


def _polar(g: Writer, tensor: Tensor) -> tuple[Value, Value]:
    """Length and angle."""
    length = g.op("Sqrt", _square(g, tensor.value, tensor.imaginary))
    return length, angle_of(g, tensor.imaginary, tensor.value)


def _from_polar(g: Writer, length: Value, angle: Value) -> Complex:
    return Complex(*(g.op("Mul", length, g.op(function, angle)) for function in ("Cos", "Sin")))


@translates_complex("abs")
def absolute(call: Call, g: Writer) -> Value:
    """abs(self)."""
    return g.op("Sqrt", _square(g, call["self"].value, call["self"].imaginary))


@translates_complex("angle")
def angle(call: Call, g: Writer) -> Value:
    """angle(self)."""
    return angle_of(g, call["self"].imaginary, call["self"].value)


@translates_complex("sgn")
def sgn(call: Call, g: Writer) -> Complex:
    """sgn(self) → self / abs(self), 0 of 0."""
    real, imaginary = call["self"].value, call["self"].imaginary
    length = g.op("Sqrt", _square(g, real, imaginary))
    divisor = g.op("Where", g.op("Equal", length, g.floats(0.0)), g.floats(1.0), length)
    return Complex(g.op("Div", real, divisor), g.op("Div", imaginary, divisor))


@translates_complex("exp")
def exp(call: Call, g: Writer) -> Complex:
    """exp(self)."""
    return _from_polar(g, g.op("Exp", call["self"].value), call["self"].imaginary)


@translates_complex("log")
def log(call: Call, g: Writer) -> Complex:
    """log(self) → log of the length, and the angle."""
    length, turned = _polar(g, call["self"])
    return Complex(g.op("Log", length), turned)


@translates_complex("sqrt")
def sqrt(call: Call, g: Writer) -> Complex:
    """sqrt(self)."""
    length, turned = _polar(g, call["self"])
    return _from_polar(g, g.op("Sqrt", length), g.op("Mul", turned, g.floats(0.5)))


@translates_complex("pow")
def power(call: Call, g: Writer) -> Complex:
    """pow(self, exponent): by a real number."""
    exponent = call["exponent"]
    if not isinstance(call["self"], Tensor) or not isinstance(exponent, (int, float)):
        raise UntranslatedError("of complex numbers by tensors; write torch.exp(exponent * torch.log(base))")
    length, turned = _polar(g, call["self"])
    return _from_polar(g, g.op("Pow", length, g.floats(exponent)), g.op("Mul", turned, g.floats(exponent)))


@translates_complex("linalg_vector_norm")
def vector_norm(call: Call, g: Writer) -> Value:
    """linalg_vector_norm(self, ord=2, dim=None, keepdim=False): that of the lengths."""
    tensor = call["self"]
    length = g.op("Sqrt", _square(g, tensor.value, tensor.imaginary))
    lengths = Tensor(length, tensor.shape, tensor.dtype.to_real())
    return str(RULES[call.name](replace(call, arguments={**call.arguments, "self": lengths}), g))


@translates_complex("eq", "ne")
def equal(call: Call, g: Writer) -> Value:
    """eq(self, other): both parts are; ne(self, other)."""
    pairs = (parts_of(g, call[name]) for name in ("self", "other"))
    (a, b), (c, d) = ((real, imaginary or g.floats(0.0)) for real, imaginary in pairs)
    same = g.op("And", g.op("Equal", a, c), g.op("Equal", b, d))
    return same if call.name == "eq" else g.op("Not", same)
