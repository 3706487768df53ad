"""What of an ONNX file's floats is a parameter, told by the operators and the places where it is read.

A file has one word, initializer, for weights, buffers and the exporter's own constants, and another, Constant, that
some makers use for all of them. The order of the evidence: what the file says itself (torch notes its parameters and
buffers); the place (a convolution's second input is a weight); then, where the place leaves it open (the factor of a
Mul), whether the name is one that a person gave, and what stands before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from pipeline.sources.onnx_files.readers import MOVES, Place, Readers
from pipeline.sources.onnx_files.values import is_mask, is_sinusoid, is_uniform

_NORMS = {"InstanceNormalization": (1, 2), "LayerNormalization": (1, 2), "GroupNormalization": (1, 2)}

# Inputs that are weights whatever stands before them.
WEIGHTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("Conv", "ConvTranspose"), (1, 2)),
    "Gemm": (0, 1, 2),
    **dict.fromkeys(("MatMul", "FusedMatMul"), (0, 1)),
    "Einsum": (0, 1, 2, 3),
    "BatchNormalization": (1, 2),
    **_NORMS,
    **dict.fromkeys(("RMSNormalization", "SimplifiedLayerNormalization", "PRelu"), (1,)),
    **dict.fromkeys(("GRU", "RNN"), (1, 2, 3)),
    "LSTM": (1, 2, 3, 7),
    "Gather": (0,),
}
STATISTICS = (3, 4)

# What is made of a weight before it is read, as the exponential of a factor or the norm of a row.
_UNARY = frozenset(
    ("Exp", "Log", "Neg", "Abs", "Sqrt", "Reciprocal", "Sigmoid", "Tanh", "Softplus", "Relu", "Erf", "Pow")
)
_REDUCTIONS = frozenset(("ReduceL2", "ReduceSum", "ReduceMean", "ReduceSumSquare", "ReduceMax"))
_ARITHMETIC = frozenset(("Add", "Sub", "Mul", "Div"))

# Names that exporters give to numbers of their own.
_GENERATED = re.compile(
    r"""^(?:
      val_\d+ | scalar_tensor.* | .*lifted_tensor.* | _?tensor_constant\d* | \d+ | onnx::\w+_\d+
    | .*Constant_output_?\d* | (?:zeros|ones|full|arange|empty|linspace)(?:_like)?(?:_default)?(?:_\d+)?
    | .*const_fold_opt.* | const__\d+.* | .*/Const(?:ant)?\w*(?::0)? | .*/[xy](?::0)?
    | (?:helper\.)?const(?:ant)?s?[_.]?\d* | (?:.*[._/])?(?:eps|epsilon)\d* | (?:one|two|half|zero)s?_?\d*
    )$""",
    re.VERBOSE | re.IGNORECASE,
)
# A summand below this keeps a root or a quotient finite.
_EPSILON = 1e-3

_SIGNATURE = "pkg.torch.export.ExportedProgram.graph_signature"


class Role(Enum):
    """What a tensor is to one of its readers."""

    PARAMETER = "parameter"
    STATISTIC = "statistic"
    CONSTANT = "constant"


def declared(model: onnx.ModelProto) -> dict[str, bool]:
    """What torch's exporter notes of its tensors: whether each is a parameter."""
    properties = (*model.metadata_props, *getattr(model.graph, "metadata_props", ()))
    text = "\n".join(entry.value for entry in properties if entry.key == _SIGNATURE)
    found = re.findall(r"(PARAMETER|BUFFER|CONSTANT_TENSOR) target='([^']+)'", text)
    return {name: kind == "PARAMETER" for kind, name in found}


class Judge:
    """Tells the role of a graph's tensors at each place where they are read.

    Attributes:
      readers: the graph, as it must not change meanwhile.
      uniform: names of the tensors whose numbers are all the same.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.readers = Readers(model.graph)
        tensors = (t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT)
        self.uniform = {tensor.name for tensor in tensors if is_uniform(numpy_helper.to_array(tensor))}
        self._declared = declared(model)

    def role(self, name: str, values: npt.NDArray[np.floating], place: Place) -> Role:
        """What the tensor `name` is to its reader at `place`."""
        roles = set(self._reached(name, values, place, set()))
        if Role.STATISTIC in roles:
            return Role.STATISTIC
        # A buffer may share its numbers with a parameter where equal tensors are stored once.
        shared = is_uniform(values) and len(self.readers.of[name]) > 1
        if self._declared.get(name) is False and not (shared and self._is_weight(place)):
            return Role.CONSTANT
        return Role.PARAMETER if Role.PARAMETER in roles else Role.CONSTANT

    def is_named(self, name: str) -> bool:
        """Whether a person gave the name."""
        return self._declared.get(name) is True or not _GENERATED.match(name)

    def terminals(self, place: Place) -> Iterator[Place]:
        """The places that a tensor read at `place` reaches, past operators that only move its numbers."""
        node = self.readers.nodes[place.node]
        if node.op_type in MOVES and place.slot == 0:
            for value in node.output:
                for later in self.readers.of[value]:
                    yield from self.terminals(later)
        else:
            yield place

    def _is_weight(self, place: Place) -> bool:
        return any(
            later.slot in WEIGHTS.get(self.readers.nodes[later.node].op_type, ()) for later in self.terminals(place)
        )

    def _reached(self, name: str, values: npt.NDArray[np.floating], place: Place, seen: set[Place]) -> Iterator[Role]:
        """The roles at the places that the tensor reaches from one on."""
        if place in seen:
            return
        seen.add(place)
        node = self.readers.nodes[place.node]
        kind, computed = node.op_type, self.readers.computed.intersection(node.output)
        if place.slot in WEIGHTS.get(kind, ()):
            yield Role.CONSTANT if self._is_filler(name, values, place) else Role.PARAMETER
        elif kind == "BatchNormalization" and place.slot in STATISTICS:
            yield Role.STATISTIC
        elif computed and kind in _ARITHMETIC:
            yield self._operand(name, values, place)
        elif computed and kind in ("Concat", "Where") and self._learned(name, values):
            yield Role.PARAMETER
        # Also where the batch tells how often a weight is repeated, as a token for each image.
        elif (not computed or (kind == "Expand" and place.slot == 0)) and self._goes_on(name, values, place):
            for value in node.output:
                for later in self.readers.of[value]:
                    yield from self._reached(name, values, later, seen)

    def _goes_on(self, name: str, values: npt.NDArray[np.floating], place: Place) -> bool:
        """Whether what an operator makes of weights alone is a weight too."""
        kind = self.readers.nodes[place.node].op_type
        if kind in _ARITHMETIC:
            return self._learned(name, values) or (values.size == 1 and self._is_factor(name, values, place))
        return kind == "Concat" or (place.slot == 0 and (kind in MOVES or kind in _UNARY or kind in _REDUCTIONS))

    def _operand(self, name: str, values: npt.NDArray[np.floating], place: Place) -> Role:
        """What stands beside a value of the image: scale, bias, positions, or a number of the exporter's."""
        node, others = self.readers.nodes[place.node], self.readers.others(place)
        if self._declared.get(name) is True:
            return Role.PARAMETER
        if self.readers.pixels.issuperset(others) or is_mask(values):
            return Role.CONSTANT
        if values.size == 1:
            return Role.PARAMETER if self._is_factor(name, values, place) else Role.CONSTANT
        vector = sum(size > 1 for size in values.shape) == 1 and node.op_type in ("Add", "Mul")
        learned = self._learned(name, values) or (vector and not self._is_made_up(name, values))
        return Role.PARAMETER if learned else Role.CONSTANT

    def _is_made_up(self, name: str, values: npt.NDArray[np.floating]) -> bool:
        """Numbers in a row, as the coordinates of pixels."""
        flat = np.ravel(values)
        return bool(flat.size > 2 and np.ptp(flat) > 0 and np.allclose(np.diff(flat), flat[1] - flat[0], rtol=1e-3))

    def _is_factor(self, name: str, values: npt.NDArray[np.floating], place: Place) -> bool:
        """Whether a single number is learned: it has a person's name, and does not just keep a quotient finite."""
        tiny = self.readers.nodes[place.node].op_type in ("Add", "Sub") and bool(0 < abs(values.flat[0]) <= _EPSILON)
        return self.is_named(name) and not tiny

    def _learned(self, name: str, values: npt.NDArray[np.floating]) -> bool:
        return values.size > 1 and self.is_named(name) and not is_mask(values) and not is_sinusoid(values)

    def _is_filler(self, name: str, values: npt.NDArray[np.floating], place: Place) -> bool:
        """Ones and zeros where an operator asks for a scale, bias or state that the network has not."""
        node = self.readers.nodes[place.node]
        if not is_uniform(values):
            return False
        if node.op_type in ("Gemm", "MatMul"):
            return place.slot == 0 and not values.any()
        grouped = self._is_grouped(node)
        return node.op_type in _NORMS and (grouped or not self.is_named(name))

    def _is_grouped(self, node: onnx.NodeProto) -> bool:
        """Group normalisation, whose own scale and bias follow the normalisation of its groups."""
        before = self.readers.producer.get(node.input[0])
        if node.op_type != "InstanceNormalization" or before is None:
            return False
        return bool(self.readers.nodes[before].op_type == "Reshape")
