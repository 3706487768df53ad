"""Complex numbers, each tensor of them as two of real numbers.

What does the same to both is written twice by its rule for real numbers; the others have rules of their own here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from pipeline.capture.joint.operators.call import (
    COMPLEX_RULES,
    RULES,
    Call,
    Complex,
    Rule,
    Tensor,
    UntranslatedError,
    Writer,
    translates_complex,
)
from pipeline.capture.joint.operators.shape import spread
from pipeline.graphs.graph import Value

# What real and imaginary parts go through apart from each other.
_BY_PARTS = frozenset(
    """
    view _unsafe_view reshape unflatten squeeze unsqueeze expand repeat t transpose permute clone detach alias copy
    cat stack split_with_sizes split unbind slice select slice_backward select_backward slice_scatter select_scatter
    flip roll tril triu constant_pad_nd gather index _unsafe_index index_select index_put _unsafe_index_put scatter
    scatter_add add sub rsub neg sum mean cumsum where masked_fill zeros zeros_like new_zeros full full_like new_full
    scalar_tensor empty new_empty empty_like empty_strided new_empty_strided lift_fresh_copy lift_fresh diagonal
    diagonal_backward diagonal_scatter as_strided fill chunk contiguous unfold unfold_backward repeat_interleave
    index_add pixel_shuffle pixel_unshuffle
    """.split()  # noqa: SIM905 - a list of one word a line is longer than what it says
)
# Arguments by which an operator multiplies nothing: a real one has the imaginary part 0.
_NUMBERS = frozenset({"self", "other", "value", "fill_value", "s", "src"})
# The factors of a product.
_FACTORS = {
    "mul": ("self", "other"),
    "mm": ("self", "mat2"),
    "bmm": ("self", "mat2"),
    "mv": ("self", "vec"),
    "dot": ("self", "tensor"),
}

# What adds a product to another: that product, and the names of its factors.
_SUMS = {
    "addmm": ("mm", "mat1", "mat2"),
    "baddbmm": ("bmm", "batch1", "batch2"),
    "addcmul": ("mul", "tensor1", "tensor2"),
}


def complex_rule(call: Call) -> Rule | None:
    """What writes a call with complex arguments or results; None where it has none.

    Raises:
      UntranslatedError: the operator has no form for them.
    """
    given = [part for value in call.arguments.values() for part in (value if isinstance(value, list) else [value])]
    if not any(isinstance(value, Tensor) and value.dtype.is_complex for value in (*given, *call.results)):
        return None
    rule = COMPLEX_RULES.get(call.name) or (_by_parts if call.name in _BY_PARTS else None)
    if rule is None:
        raise UntranslatedError("of complex numbers; compute with their parts (torch.view_as_real)")
    return rule


def _by_parts(call: Call, g: Writer) -> Any:
    rule = RULES[call.name]
    real, imaginary = (rule(_part(call, g, part), g) for part in (_real, _imaginary))
    if isinstance(real, str):
        return Complex(real, str(imaginary))
    return tuple(Complex(str(one), str(other)) for one, other in zip(real, imaginary, strict=True))


_Part = Callable[[Writer, Any, bool], Any]


def _part(call: Call, g: Writer, part: _Part) -> Call:
    """The call with one part of each complex argument and result."""
    arguments = {
        key: [part(g, each, False) for each in value] if isinstance(value, list) else part(g, value, key in _NUMBERS)
        for key, value in call.arguments.items()
    }
    results = tuple(result and _real(g, result, False) for result in call.results)
    return replace(call, arguments=arguments, results=results)


def _real(g: Writer, value: Any, is_number: bool) -> Any:
    if isinstance(value, Tensor) and value.dtype.is_complex:
        return Tensor(value.value, value.shape, value.dtype.to_real())
    return value.real if isinstance(value, complex) else value


def _imaginary(g: Writer, value: Any, is_number: bool) -> Any:
    if isinstance(value, Tensor) and value.dtype.is_complex:
        return Tensor(value.imaginary, value.shape, value.dtype.to_real())
    if isinstance(value, Tensor) and value.dtype.is_floating_point:
        return Tensor(g.op("Mul", value.value, g.number(0, value.dtype)), value.shape, value.dtype)
    if isinstance(value, (int, float, complex)) and not isinstance(value, bool) and is_number:
        return complex(value).imag
    return value


def parts_of(g: Writer, value: Any) -> tuple[Value, Value | None]:
    """Real and imaginary part of a tensor or a number, float32; of a real one no imaginary part."""
    if not isinstance(value, Tensor):
        number = complex(value)
        return g.floats(number.real), g.floats(number.imag) if number.imag else None
    if value.dtype.is_complex:
        return value.value, value.imaginary
    return g.as_type(value, torch.float32), None


@translates_complex("view_as_complex")
def view_as_complex(call: Call, g: Writer) -> Complex:
    """view_as_complex(self …×2)."""
    return Complex(*(g.op("Gather", call["self"].value, g.ints(part), axis=-1) for part in (0, 1)))


@translates_complex("view_as_real")
def view_as_real(call: Call, g: Writer) -> Value:
    """view_as_real(self) → …×2."""
    return _in_pairs(g, call["self"].value, call["self"].imaginary)


def _in_pairs(g: Writer, real: Value, imaginary: Value) -> Value:
    return g.op("Concat", *(g.op("Unsqueeze", part, g.ints([-1])) for part in (real, imaginary)), axis=-1)


@translates_complex("complex")
def complex_of(call: Call, g: Writer) -> Complex:
    """complex(real, imag): the one broadcast to the other."""
    return Complex(*(spread(g, call[name], call.result) for name in ("real", "imag")))


@translates_complex("_conj", "conj_physical", "_conj_physical")
def conjugate(call: Call, g: Writer) -> Complex:
    """_conj(self): of a number too, as torch leaves them in the gradient of a product."""
    real, imaginary = parts_of(g, call["self"])
    return Complex(real, g.op("Neg", imaginary or g.floats(0.0)))


@translates_complex("_to_copy")
def to_copy(call: Call, g: Writer) -> Value | Complex:
    """_to_copy(self, dtype=None): of a complex number its real part, of a real one its sum with 0i."""
    tensor, dtype = call["self"], call.result.dtype
    if not dtype.is_complex:
        return g.as_type(_real(g, tensor, False), dtype)
    parts = (part(g, tensor, False) for part in (_real, _imaginary))
    return Complex(*(g.as_type(part, dtype.to_real()) for part in parts))


@translates_complex("ones", "ones_like", "new_ones", "eye")
def ones(call: Call, g: Writer) -> Complex:
    """ones(size): 1 + 0i; eye(n)."""
    real = str(RULES[call.name](_part(call, g, _real), g))
    return Complex(real, g.op("Sub", real, real))


@translates_complex(*_FACTORS)
def product(call: Call, g: Writer) -> Complex:
    """mul(self, other) and products of matrices and vectors; where one is real, of both parts of the other."""
    left, right = _FACTORS[call.name]
    (a, b), (c, d) = (_as_tensors(g, call[name]) for name in (left, right))

    def of(first: Tensor, second: Tensor) -> Value:
        given = {**call.arguments, left: first, right: second}
        result = _real(g, call.result, False)
        return str(RULES[call.name](replace(call, arguments=given, results=(result,)), g))

    if b is None or d is None:
        return Complex(of(a, c), of(b, c) if b else of(a, d or Tensor(g.floats(0.0), (), torch.float32)))
    return Complex(g.op("Sub", of(a, c), of(b, d)), g.op("Add", of(a, d), of(b, c)))


@translates_complex(*_SUMS)
def sum_with_product(call: Call, g: Writer) -> Complex:
    """addmm(self, mat1, mat2, beta=1, alpha=1), baddbmm, addcmul(self, tensor1, tensor2, value=1)."""
    name, left, right = _SUMS[call.name]
    if call.get("beta", 1) != 1:
        raise UntranslatedError("of complex numbers with beta; multiply the first by it")
    first, second = _FACTORS[name]
    made: Any = product(replace(call, name=name, arguments={first: call[left], second: call[right]}), g)
    added = replace(call.result, value=made.real, imaginary=made.imaginary)
    arguments = {"self": call["self"], "other": added, "alpha": call.get("value" if name == "mul" else "alpha", 1)}
    whole: Complex = _by_parts(replace(call, name="add", arguments=arguments), g)
    return whole


def _as_tensors(g: Writer, value: Any) -> tuple[Tensor, Tensor | None]:
    real, imaginary = parts_of(g, value)
    shape = value.shape if isinstance(value, Tensor) else ()
    return Tensor(real, shape, torch.float32), Tensor(imaginary, shape, torch.float32) if imaginary else None
