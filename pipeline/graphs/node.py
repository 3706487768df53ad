"""One operator of a graph as a rule is given it, and registries of rules.

A rule is one function for one operator: it writes others into a graph and returns the names of its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import onnx
from onnx import helper

from pipeline.errors import LoweringError
from pipeline.graphs.graph import Shape, Value

_Rule = TypeVar("_Rule")


def decorator_of(rules: dict[str, _Rule]) -> Callable[..., Callable[[_Rule], _Rule]]:
    """A decorator that registers a function in `rules` for each of the operators that it names."""

    def registers(*op_types: str) -> Callable[[_Rule], _Rule]:
        def register(rule: _Rule) -> _Rule:
            rules.update(dict.fromkeys(op_types, rule))
            return rule

        return register

    return registers


def attributes_of(proto: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of an operator by name."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in proto.attribute}


@dataclass(frozen=True)
class Node:
    """One operator of a graph; its inputs are already values of the graph that is written.

    Attributes:
      inputs: value names, "" for an input left out.
      outputs: the names in the graph it comes from, "" for an output nobody reads.
      input_shapes, output_shapes: static sizes, a str for a symbolic one (the batch is "N"); None when unknown. Of
        an elementwise operator they are those of N×C×H×W also where it is given C×H×W×N (`layout`).
    """

    op_type: str
    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    input_shapes: tuple[Shape | None, ...]
    output_shapes: tuple[Shape | None, ...]

    @classmethod
    def of(
        cls, proto: onnx.NodeProto, inputs: Sequence[Value], shapes: Mapping[str, Shape], read: Collection[str]
    ) -> Node:
        """The operator `proto`, reading `inputs`, in a graph of these shapes in which `read` are the values in use."""
        return cls(
            op_type=proto.op_type,
            name=proto.name,
            inputs=tuple(inputs),
            outputs=tuple(name if name in read else "" for name in proto.output),
            attributes=attributes_of(proto),
            input_shapes=tuple(shapes.get(name) for name in proto.input),
            output_shapes=tuple(shapes.get(name) for name in proto.output),
        )

    def input_shape(self, index: int) -> Shape:
        """Shape of an input.

        Raises:
          LoweringError: shape inference did not find it.
        """
        return self._known(self.input_shapes, index, "input")

    def output_shape(self, index: int) -> Shape:
        """Shape of an output.

        Raises:
          LoweringError: shape inference did not find it.
        """
        return self._known(self.output_shapes, index, "output")

    def wants(self, index: int) -> bool:
        """Whether anything reads this output."""
        return index < len(self.outputs) and bool(self.outputs[index])

    def _known(self, shapes: tuple[Shape | None, ...], index: int, kind: str) -> Shape:
        shape = shapes[index]
        if shape is None:
            raise LoweringError(
                f"{self.op_type} (node {self.name!r}) cannot be lowered: the shape of its {kind} {index} is unknown; "
                "export the model with static shapes but for the batch"
            )
        return shape
