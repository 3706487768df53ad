"""Einsum as matrix products: Transpose, Reshape, MatMul, ReduceSum.

An operand travels with its labels, one letter for each axis, as the equation gives them.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import LoweringError
from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.node import Node


@dataclass(frozen=True)
class _Operand:
    """A value with a label and a size for each axis; a str is a symbolic size."""

    value: Value
    labels: str
    shape: Shape

    def sizes(self, labels: str) -> list[int | str]:
        return [self.shape[self.labels.index(label)] for label in labels]


def write_einsum(node: Node, g: Graph) -> Value:
    """Einsum(x…) → one product for each operand after the first, from left to right.

    Raises:
      LoweringError: a diagonal, which repeats a label in one operand, or axes of unknown size that have to merge.
    """
    shapes = [node.input_shape(index) for index in range(len(node.inputs))]
    terms, result = _parse(node.attributes["equation"].decode(), [len(shape) for shape in shapes])
    if any(len(set(term)) != len(term) for term in terms):
        raise LoweringError(f"Einsum (node {node.name!r}) takes a diagonal, which cannot be rewritten: index before it")
    operands = [_Operand(*operand) for operand in zip(node.inputs, terms, shapes, strict=True)]
    product = operands[0]
    for index, operand in enumerate(operands[1:], 2):
        product = _product(node, g, product, operand, set("".join([result, *terms[index:]])))
    return _ordered(g, _summed(g, product, set(result)), result).value


def _parse(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Labels of each operand and of the result; an ellipsis becomes letters that the equation does not use."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    free = [letter for letter in string.ascii_letters if letter not in equation]
    lengths = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True)]
    letters = "".join(free[: max(lengths)])
    # Without an arrow, the result has what occurs once, in the order of the alphabet.
    occurs = Counter(left.replace("...", "").replace(",", ""))
    result = result if arrow else "..." + "".join(sorted(label for label, count in occurs.items() if count == 1))
    expanded = [
        term.replace("...", letters[len(letters) - count :]) for term, count in zip(terms, lengths, strict=True)
    ]
    return expanded, result.replace("...", letters)


def _product(node: Node, g: Graph, a: _Operand, b: _Operand, later: set[str]) -> _Operand:
    """Multiplies two operands and sums over the labels that nothing later needs."""
    a, b = _summed(g, a, later | set(b.labels)), _summed(g, b, later | set(a.labels))
    shared = [label for label in a.labels if label in b.labels]
    batch = "".join(label for label in shared if label in later)
    inner = "".join(label for label in shared if label not in later)
    rows = "".join(label for label in a.labels if label not in shared)
    columns = "".join(label for label in b.labels if label not in shared)
    product = g.op("MatMul", _matrix(node, g, a, batch, rows, inner), _matrix(node, g, b, batch, inner, columns))
    sizes = [*a.sizes(rows), *b.sizes(columns)]
    if len(rows) != 1 or len(columns) != 1:
        product = _reshape(node, g, product, len(batch), sizes)
    # An axis of size 1 is broadcast to the other operand's.
    broad = [y if x == 1 else x for x, y in zip(a.sizes(batch), b.sizes(batch), strict=True)]
    return _Operand(product, batch + rows + columns, (*broad, *sizes))


def _matrix(node: Node, g: Graph, operand: _Operand, batch: str, rows: str, columns: str) -> Value:
    """The operand as batch… × rows × columns, where several axes, or none, become one."""
    value = _ordered(g, operand, batch + rows + columns).value
    if len(rows) == 1 and len(columns) == 1:
        return value
    merged = [_merged(operand.sizes(labels)) for labels in (rows, columns)]
    return _reshape(node, g, value, len(batch), merged)


def _merged(sizes: Sequence[int | str]) -> int | str:
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) if len(known) == len(sizes) else "?"


def _reshape(node: Node, g: Graph, value: Value, kept: int, sizes: Sequence[int | str]) -> Value:
    """Keeps the first axes (0 copies a size, whatever it is) and reshapes the rest."""
    if sum(isinstance(size, str) for size in sizes) > 1:
        raise LoweringError(
            f"Einsum (node {node.name!r}) cannot be rewritten with several axes of unknown size: "
            "export the model with static shapes but for the batch"
        )
    return g.op("Reshape", value, g.ints([*[0] * kept, *(size if isinstance(size, int) else -1 for size in sizes)]))


def _summed(g: Graph, operand: _Operand, keep: set[str]) -> _Operand:
    """Sums over the labels that are not in `keep`."""
    axes = [axis for axis, label in enumerate(operand.labels) if label not in keep]
    if not axes:
        return operand
    labels = "".join(label for label in operand.labels if label in keep)
    return _Operand(g.sum(operand.value, axes), labels, tuple(operand.sizes(labels)))


def _ordered(g: Graph, operand: _Operand, labels: str) -> _Operand:
    if labels == operand.labels:
        return operand
    perm = [operand.labels.index(label) for label in labels]
    return _Operand(g.op("Transpose", operand.value, perm=perm), labels, tuple(operand.sizes(labels)))
