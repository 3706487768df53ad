"""Sizes and other numbers of torch's graph that depend on the size of the batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sympy
import torch
from torch.utils._sympy.symbol import SymT, symbol_is_type

from pipeline.capture.joint.operators.call import Size, Tensor, UntranslatedError, Writer
from pipeline.graphs.graph import Value


def described(value: Value, meta: torch.Tensor) -> Tensor:
    """A tensor as torch knows it."""
    return Tensor(value, tuple(_dimension(size) for size in meta.shape), meta.dtype)


def _dimension(size: int | torch.SymInt) -> int | str:
    number = size_of(size)
    return number.symbol if isinstance(number, Size) else number


def size_of(size: int | torch.SymInt) -> int | Size:
    """A size as a function of the batch.

    Raises:
      UntranslatedError: it is no multiple of the batch and a rest.
    """
    if isinstance(size, int):
        return size
    expression = sympy.expand(size.node.expr)
    symbols = sorted(expression.free_symbols, key=str)
    if not symbols:
        return int(expression)
    _check_known(symbols)
    # Image and labels have one batch, whatever torch calls it.
    batch = sympy.Symbol("N", integer=True, positive=True)
    expression = sympy.expand(expression.subs(dict.fromkeys(symbols, batch)))
    factor, rest = expression.coeff(batch, 1), expression.coeff(batch, 0)
    if expression != factor * batch + rest or not (factor.is_Integer and rest.is_Integer):
        raise UntranslatedError(f"of size {expression}, which is no multiple of the batch N")
    return Size(int(factor), int(rest)) if factor else int(rest)


def _check_known(symbols: Iterable[sympy.Basic]) -> None:
    if any(symbol_is_type(symbol, (SymT.UNBACKED_INT, SymT.UNBACKED_FLOAT)) for symbol in symbols):
        raise UntranslatedError("of a size, or by a number, that only values tell: choose by torch.where")


# Of a function in torch's formula of a number the operator; those of two and more take them pair by pair.
_FUNCTIONS: Mapping[str, str] = {
    "Add": "Add",
    "Mul": "Mul",
    "Pow": "Pow",
    "FloatPow": "Pow",
    "IntTrueDiv": "Div",
    "FloatTrueDiv": "Div",
    "OpaqueUnaryFn_sqrt": "Sqrt",
    "ToFloat": "Identity",
}


def number_of(number: torch.SymFloat, read: Mapping[sympy.Basic, Value], g: Writer) -> Tensor:
    """A number that is computed from the batch's size, or from elements of tensors: float32 scalar.

    Args:
      number: as torch has it.
      read: of the symbols that are elements of tensors (`x.item()`) their values.
      g: takes the operators.

    Raises:
      UntranslatedError: by a function that is not known here.
    """
    return Tensor(_written(number.node.expr, read, g), (), torch.float32)


def _written(expression: sympy.Basic, read: Mapping[sympy.Basic, Value], g: Writer) -> Value:
    if expression in read:
        return read[expression]
    if isinstance(expression, sympy.Number):
        return g.floats(float(expression))
    if isinstance(expression, sympy.Symbol):
        _check_known([expression])
        return g.operand(Size(1, 0), torch.float32)
    operator = _FUNCTIONS.get(type(expression).__name__)
    if operator is None:
        raise UntranslatedError(f"by the number {expression}, computed from the size of the batch")
    first, *others = (_written(part, read, g) for part in expression.args)
    for other in others:
        first = g.op(operator, first, other)
    return first if others or operator == "Identity" else g.op(operator, first)
