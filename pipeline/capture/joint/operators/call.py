"""One call of an ATen operator as a rule is given it, and the registry of the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from onnx import TensorProto

from pipeline.errors import LoweringError
from pipeline.graphs.graph import Graph, Shape, Value
from pipeline.graphs.node import decorator_of

DTYPES: Mapping[torch.dtype, int] = {
    torch.float32: TensorProto.FLOAT,
    torch.float64: TensorProto.DOUBLE,
    torch.float16: TensorProto.FLOAT16,
    torch.int64: TensorProto.INT64,
    torch.int32: TensorProto.INT32,
    torch.int16: TensorProto.INT16,
    torch.int8: TensorProto.INT8,
    torch.uint8: TensorProto.UINT8,
    torch.bool: TensorProto.BOOL,
}


class Complex(NamedTuple):
    """Complex numbers that a rule gives, as two values of real numbers."""

    real: Value
    imaginary: Value


class UntranslatedError(LoweringError):
    """What a call asks for has no form here; the message says what, its caller where."""


def onnx_type(dtype: torch.dtype) -> int:
    """The TensorProto type of a torch type.

    Raises:
      UntranslatedError: the graphs here have no such type.
    """
    if dtype not in DTYPES:
        raise UntranslatedError(f"in the type {dtype}; use one of {', '.join(map(str, DTYPES))}")
    return DTYPES[dtype]


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
      value: in the graph; of complex numbers their real parts.
      shape: static sizes, with a str for what depends on the batch.
      dtype: as torch has it.
      imaginary: of complex numbers their imaginary parts.
    """

    value: Value
    shape: Shape
    dtype: torch.dtype
    imaginary: Value = ""

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    def static(self, axis: int) -> int:
        """A size that is the same for every batch.

        Raises:
          UntranslatedError: it is not.
        """
        size = self.shape[axis]
        if not isinstance(size, int):
            raise UntranslatedError(f"over an axis of size {size}, which depends on the batch")
        return size


@dataclass(frozen=True)
class Size:
    """A number that depends on the batch: factor × N + rest."""

    factor: int
    rest: int

    @property
    def symbol(self) -> str:
        """As a shape shows it: N, 12N, 4N+2."""
        return (f"{self.factor}N" if self.factor != 1 else "N") + (f"{self.rest:+d}" if self.rest else "")


@dataclass(frozen=True)
class Call:
    """One call of an ATen operator.

    Attributes:
      name: of the operator, as `convolution_backward`; its overload apart.
      arguments: by the names of torch's schema, defaults among them; tensors as `Tensor`.
      results: shape and type of each result that is a tensor.
      wanted: which results anything reads.
    """

    name: str
    arguments: Mapping[str, Any]
    results: tuple[Tensor | None, ...]
    wanted: tuple[bool, ...]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument that not every overload has."""
        return self.arguments.get(name, default)

    @property
    def result(self) -> Tensor:
        """The first result."""
        first = self.results[0]
        assert first is not None
        return first

    def axis(self, name: str, tensor: Tensor) -> int:
        """An argument that names an axis, counted from the first."""
        return int(self.arguments[name]) % max(tensor.rank, 1)


@dataclass(frozen=True)
class Parts:
    """What a tensor is made of that is 0 elsewhere: the gradient of slices of another.

    Attributes:
      axis: along which the parts lie.
      size: the tensor's.
      pieces: by their first place, a value and how many places it takes.
    """

    axis: int
    size: int
    pieces: Mapping[int, tuple[Value, int]]

    def with_those_of(self, other: Parts) -> Parts | None:
        """The sum of two such tensors; None where their parts overlap or lie along other axes."""
        if (self.axis, self.size) != (other.axis, other.size):
            return None
        pieces = dict(sorted({**self.pieces, **other.pieces}.items()))
        taken = [place for start, (_, length) in pieces.items() for place in range(start, start + length)]
        apart = len(set(taken)) == len(taken) and len(pieces) == len(self.pieces) + len(other.pieces)
        return Parts(self.axis, self.size, pieces) if apart else None

    def cover(self) -> bool:
        """Whether nothing is left that is 0."""
        return sum(length for _, length in self.pieces.values()) == self.size


class Writer(Graph):
    """A graph under construction that knows which values are transposed matrices of others, and the batch's size."""

    def __init__(self) -> None:
        super().__init__()
        self.transposed: dict[Value, Value] = {}
        self.parts: dict[Value, Parts] = {}
        self._batch: Value | None = None

    def size(self, size: int | Size) -> Value:
        """A number as int64 vector of length 1."""
        if isinstance(size, int):
            return self.ints([size])
        if self._batch is None:
            self._batch = self.op("Shape", self.recall("batch")[0], start=0, end=1)
        number = self._batch if size.factor == 1 else self.op("Mul", self._batch, self.ints([size.factor]))
        return self.op("Add", number, self.ints([size.rest])) if size.rest else number

    def sizes(self, sizes: Sequence[int | Size]) -> Value:
        """Numbers as int64 vector."""
        numbers = [size for size in sizes if isinstance(size, int)]
        if len(numbers) == len(sizes):
            return self.ints(numbers)
        return self.op("Concat", *(self.size(size) for size in sizes), axis=0)

    def view(self, value: Value, sizes: Sequence[int | Size]) -> Value:
        """A value in another shape."""
        if sum(isinstance(size, Size) for size in sizes) == 1:
            sizes = [-1 if isinstance(size, Size) else size for size in sizes]
        return self.op("Reshape", value, self.sizes(sizes))

    def made_by(self, value: Value) -> str:
        """The operator that computes a value, or ""."""
        return next((node.op_type for node in self.nodes if value in node.output), "")

    def cast(self, value: Value, dtype: torch.dtype) -> Value:
        """A value in another type."""
        return self.op("Cast", value, to=onnx_type(dtype))

    def as_type(self, tensor: Tensor, dtype: torch.dtype) -> Value:
        """A tensor's value in that type."""
        return tensor.value if tensor.dtype == dtype else self.cast(tensor.value, dtype)

    def number(self, number: float, dtype: torch.dtype) -> Value:
        """A scalar constant of that type."""
        return self.constant(number, torch.zeros((), dtype=dtype).numpy().dtype)

    def operand(self, argument: Any, dtype: torch.dtype) -> Value:
        """A tensor or a number as a value of that type."""
        if isinstance(argument, Tensor):
            return self.as_type(argument, dtype)
        if isinstance(argument, Size):
            return self.cast(self.op("Squeeze", self.size(argument)), dtype)
        return self.number(argument, dtype)


Rule = Callable[[Call, Writer], "Value | Complex | tuple[Value | Complex, ...]"]

RULES: dict[str, Rule] = {}
translates = decorator_of(RULES)
# Of operators that are given complex numbers, or give them.
COMPLEX_RULES: dict[str, Rule] = {}
translates_complex = decorator_of(COMPLEX_RULES)
