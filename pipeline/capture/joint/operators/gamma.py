"""The gamma function's logarithm and what its derivatives are, and the inverse of the error function."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.capture.joint.operators.call import Call, UntranslatedError, Writer, translates
from pipeline.graphs.graph import Value

# So far a number is moved up, where its asymptotic series is exact to float32.
_MOVED = 7


@translates("lgamma")
def lgamma(call: Call, g: Writer) -> Value:
    """lgamma(self): Stirling's series; below 1/2 by reflection, log(π / |sin πx|) − lgamma(1 − x)."""
    x = call["self"].value
    below, upper = _reflected(g, x)
    product, z = upper, g.op("Add", upper, g.floats(_MOVED))
    for step in range(1, _MOVED):
        product = g.op("Mul", product, g.op("Add", upper, g.floats(step)))
    whole = g.op("Sub", g.op("Mul", g.op("Sub", z, g.floats(0.5)), g.op("Log", z)), z)
    rest = _series(g, z, (1 / 12, -1 / 360, 1 / 1260))
    value = g.op(
        "Add", g.op("Sub", whole, g.op("Log", product)), g.op("Add", rest, g.floats(math.log(2 * math.pi) / 2))
    )
    sine = g.op("Abs", g.op("Sin", _turn(g, x)))
    return g.op("Where", below, g.op("Sub", g.op("Log", g.op("Div", g.floats(math.pi), sine)), value), value)


@translates("digamma")
def digamma(call: Call, g: Writer) -> Value:
    """digamma(self): its asymptotic series; below 1/2 by reflection, digamma(1 − x) − π / tan πx."""
    x = call["self"].value
    below, upper = _reflected(g, x)
    z = g.op("Add", upper, g.floats(_MOVED))
    value = g.op("Sub", g.op("Log", z), g.op("Div", g.floats(0.5), z))
    value = g.op("Sub", value, _series(g, g.op("Mul", z, z), (1 / 12, -1 / 120, 1 / 252), step=1))
    value = g.op("Sub", value, _sum_of_inverses(g, upper, 1))
    return g.op("Where", below, g.op("Sub", value, g.op("Div", g.floats(math.pi), g.op("Tan", _turn(g, x)))), value)


@translates("polygamma")
def polygamma(call: Call, g: Writer) -> Value:
    """polygamma(n, self): of n = 1, digamma's derivative; below 1/2 by reflection, (π / sin πx)² − that of 1 − x."""
    if call["n"] != 1:
        raise UntranslatedError(f"with n={call['n']}; only digamma and its derivative polygamma(1, x) have one")
    x = call["self"].value
    below, upper = _reflected(g, x)
    z = g.op("Add", upper, g.floats(_MOVED))
    value = g.op("Add", _series(g, z, (1.0, 1 / 6, -1 / 30, 1 / 42)), g.op("Div", g.floats(0.5), g.op("Mul", z, z)))
    value = g.op("Add", value, _sum_of_inverses(g, upper, 2))
    other = g.op("Div", g.floats(math.pi), g.op("Sin", _turn(g, x)))
    return g.op("Where", below, g.op("Sub", g.op("Mul", other, other), value), value)


def _reflected(g: Writer, x: Value) -> tuple[Value, Value]:
    """Whether x is below 1/2, and there 1 − x, elsewhere x."""
    below = g.op("Less", x, g.floats(0.5))
    return below, g.op("Where", below, g.op("Sub", g.floats(1.0), x), x)


def _turn(g: Writer, x: Value) -> Value:
    """πx within ±π/2, of which the sine but for its sign, and the tangent, are those of πx."""
    return g.op("Mul", g.op("Sub", x, g.op("Round", x)), g.floats(math.pi))


def _series(g: Writer, z: Value, factors: Sequence[float], step: int = 2) -> Value:
    """factors[0] / z + factors[1] / z^(1 + step) + …"""
    inverse = g.op("Reciprocal", z)
    power = inverse if step == 1 else g.op("Mul", inverse, inverse)
    return g.op("Mul", _polynomial(g, power, factors[::-1]), inverse)


def _sum_of_inverses(g: Writer, x: Value, exponent: int) -> Value:
    """Of x, x + 1, … by which it was moved."""
    total = None
    for step in range(_MOVED):
        inverse = g.op("Reciprocal", g.op("Add", x, g.floats(step)))
        part = inverse if exponent == 1 else g.op("Mul", inverse, inverse)
        total = g.op("Add", total, part) if total else part
    assert total
    return total


# Giles, "Approximating the erfinv function", 2010: polynomials in w − 2.5 and, from w = 5 on, √w − 3; w = −log(1 − x²).
_INNER = (2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4, -1.25372503e-3, -4.17768164e-3)
_OUTER = (-2.00214257e-4, 1.00950558e-4, 1.34934322e-3, -3.67342844e-3, 5.73950773e-3, -7.6224613e-3, 9.43887047e-3)


@translates("erfinv")
def erfinv(call: Call, g: Writer) -> Value:
    """erfinv(self) → self × a polynomial of log(1 − self²)."""
    x, one = call["self"].value, g.floats(1.0)
    w = g.op("Neg", g.op("Log", g.op("Mul", g.op("Sub", one, x), g.op("Add", one, x))))
    inner = _polynomial(g, g.op("Sub", w, g.floats(2.5)), (*_INNER, 0.246640727, 1.50140941))
    outer = _polynomial(g, g.op("Sub", g.op("Sqrt", w), g.floats(3.0)), (*_OUTER, 1.00167406, 2.83297682))
    return g.op("Mul", x, g.op("Where", g.op("Less", w, g.floats(5.0)), inner, outer))


def _polynomial(g: Writer, x: Value, factors: Sequence[float]) -> Value:
    """Of the highest power's factor first."""
    value = g.floats(factors[0])
    for factor in factors[1:]:
        value = g.op("Add", g.op("Mul", value, x), g.floats(factor))
    return value
