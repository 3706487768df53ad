"""Dropout whose mask depends on the node, the step and the element alone, so that a resumed training draws the same.

The runtime's own Dropout has a generator that goes on from call to call. Here each element's number is hashed with two
keys of node and step, in the manner of counter-based generators (Salmon et al., "Parallel random numbers: as easy as 1,
2, 3", 2011). Opset 17 has no exclusive or, so what mixes is the cube modulo a prime p with p mod 3 = 2: a permutation.
Twice, with a key before and between: ((number + first)³ + second)³ (tests/pipeline/lowering/test_dropout.py).
"""

from __future__ import annotations

import math
import zlib

from onnx import TensorProto, numpy_helper

from pipeline.graphs.graph import Graph, Value
from pipeline.graphs.node import Node
from pipeline.lowering.rules.randomness import BERNOULLI, NORMAL, UNIFORM, is_calm
from pipeline.lowering.rules.registry import lowers

STEP = "step"

# The largest prime below 2³¹ that leaves 2 when divided by 3: products of two numbers below it fit in int64.
_PRIME = 2_147_483_579


def give_step(g: Graph, step: Value) -> None:
    """Names the value with the number of the step, int64 scalar, from which masks are drawn."""
    g.remember(STEP, (step,))


@lowers("Dropout")
def dropout(node: Node, g: Graph) -> tuple[Value, ...]:
    """Dropout(x, ratio, [training]) → x / (1 − ratio) where it is kept, else 0; what is kept. Else the identity."""
    if not _trains(node, g):
        return node.inputs[0], ""
    x, ratio = node.inputs[:2]
    kept = _everything(g, x) if is_calm(g) else _drawn(g, x, ratio, node.name)
    return _scaled(g, x, kept, ratio), kept


@lowers("DropoutGrad")
def dropout_grad(node: Node, g: Graph) -> Value:
    """DropoutGrad(dy, kept, ratio, training) → dx: as the values, so their gradients."""
    return _scaled(g, *node.inputs[:3])


def _trains(node: Node, g: Graph) -> bool:
    """Whether the third input is there and not a constant false."""
    if len(node.inputs) < 3 or not node.inputs[2]:
        return False
    constant = g.constants.get(node.inputs[2])
    return constant is None or bool(numpy_helper.to_array(constant))


def _everything(g: Graph, x: Value) -> Value:
    return g.op("Expand", g.constant(True, bool), g.op("Shape", x))


def _drawn(g: Graph, x: Value, ratio: Value, name: str) -> Value:
    (step,) = g.recall(STEP)
    return g.op("GreaterOrEqual", _uniform(g, x, step, zlib.crc32(name.encode())), ratio)


def _scaled(g: Graph, x: Value, kept: Value, ratio: Value) -> Value:
    return g.op("Where", kept, g.op("Div", x, g.op("Sub", g.floats(1.0), ratio)), g.floats(0.0))


@lowers("CounterUniform")
def counter_uniform(node: Node, g: Graph) -> Value:
    """CounterUniform(shape) → float32 from 0 to 1, drawn from the node, the step and the element."""
    return _constant_or(node, g, UNIFORM) or _drawn_numbers(node, g, node.inputs[0])


@lowers("CounterNormal")
def counter_normal(node: Node, g: Graph) -> Value:
    """CounterNormal(shape) → float32 from a normal distribution, mean 0 and deviation 1. Box and Muller, 1958."""
    given = _constant_or(node, g, NORMAL)
    if given:
        return given
    first, second = (_drawn_numbers(node, g, node.inputs[0], part) for part in ("radius", "angle"))
    radius = g.op("Sqrt", g.op("Mul", g.op("Log", g.op("Max", first, g.floats(1e-12))), g.floats(-2.0)))
    return g.op("Mul", radius, g.op("Cos", g.op("Mul", second, g.floats(2 * math.pi))))


@lowers("CounterBernoulli")
def counter_bernoulli(node: Node, g: Graph) -> Value:
    """CounterBernoulli(p) → float32, 1 with the probability p of each element, else 0."""
    shape = g.op("Shape", node.inputs[0])
    if is_calm(g):
        return g.op("Expand", g.floats(BERNOULLI), shape)
    drawn = g.op("Less", _drawn_numbers(node, g, shape), node.inputs[0])
    return g.op("Cast", drawn, to=TensorProto.FLOAT)


def _constant_or(node: Node, g: Graph, number: float) -> Value | None:
    return g.op("Expand", g.floats(number), node.inputs[0]) if is_calm(g) else None


def _drawn_numbers(node: Node, g: Graph, shape: Value, part: str = "") -> Value:
    (step,) = g.recall(STEP)
    return _uniform(g, g.op("Expand", g.floats(0.0), shape), step, zlib.crc32(f"{node.name}{part}".encode()))


def _uniform(g: Graph, x: Value, step: Value, seed: int) -> Value:
    """float32 of x's shape, from 0 to 1."""
    own = g.ints(seed % _PRIME)
    first = _cube(g, g.op("Add", _cube(g, g.op("Add", step, own)), own))
    second = _cube(g, g.op("Add", first, own))
    number = g.op("Range", g.ints(0), g.op("Size", x), g.ints(1))
    mixed = _cube(g, g.op("Add", _cube(g, g.op("Add", number, first)), second))
    uniform = g.op("Mul", g.op("Cast", mixed, to=TensorProto.FLOAT), g.floats(1 / _PRIME))
    return g.op("Reshape", uniform, g.op("Shape", x))


def _cube(g: Graph, number: Value) -> Value:
    """number³ modulo the prime, int64."""
    prime = g.ints(_PRIME)
    rest = g.op("Mod", number, prime)
    square = g.op("Mod", g.op("Mul", rest, rest), prime)
    return g.op("Mod", g.op("Mul", square, rest), prime)
