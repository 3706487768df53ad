"""torch's graph of ATen operators → an ONNX graph in the words of the lowering, node by node.

What trains and what is renewed are inputs and outputs by torch's names; every other tensor of the module is a constant.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import onnx
import torch
from onnx import helper, numpy_helper
from torch.fx import Node

from device_runtime.formats.steps import RENEWED
from pipeline.capture.joint import operators  # noqa: F401 - registers the rules
from pipeline.capture.joint.instead import INSTEAD
from pipeline.capture.joint.operators.call import (
    COMPLEX_RULES,
    RULES,
    Call,
    Complex,
    Tensor,
    UntranslatedError,
    Writer,
    onnx_type,
)
from pipeline.capture.joint.operators.complex import complex_rule
from pipeline.capture.joint.operators.short import widened
from pipeline.capture.joint.sizes import described, number_of, size_of
from pipeline.capture.joint.trace import Traced
from pipeline.errors import LoweringError, PipelineError, in_one_line
from pipeline.graphs.graph import IR_VERSION, OPSET, Shape, Value, needed
from pipeline.graphs.names import IMAGE, LABELS, LOGITS, LOSS

CONTRIBUTED = "com.microsoft"

_GENERAL = "replace it in the model, or freeze the parameters before it; docs/operators.md lists what works"

# What torch has proved, and leaves to be seen when the graph runs; and what only names a part of it for a profiler.
_IGNORED = frozenset(
    {
        *("_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range_for_size"),
        *("profiler._record_function_enter_new", "profiler._record_function_exit"),
    }
)


def translate(
    traced: Traced, state: Collection[str], stored: Mapping[str, onnx.TensorProto] = MappingProxyType({})
) -> onnx.ModelProto:
    """The ONNX graph of a traced module.

    Args:
      traced: of `trace.py`.
      state: names of the parameters and buffers that are inputs of the graph; the others are initializers.
      stored: tensors of the module by name whose numbers stand in a file.

    Returns:
      `image`, `labels` and the state → `loss`, `logits`, `gradient/<parameter>`, `renewed/<buffer>`; the batch is N,
      and the shape of every value that torch knows is written into the graph.

    Raises:
      LoweringError: operators that no rule knows, all of them in one message.
    """
    translation = _Translation(traced, state, stored)
    translation.read_inputs()
    translation.write_calls()
    return translation.model()


class UnknownOperatorsError(LoweringError):
    """What has no form here.

    Attributes:
      calls: the operators' names, with what each is asked for.
    """

    def __init__(self, calls: Sequence[str], places: Mapping[str, str] = MappingProxyType({})) -> None:
        self.calls = calls
        placed = "; ".join(_placed(call, places) for call in calls)
        super().__init__(f"no form in the ONNX standard is known for torch's {placed}: {_advice(calls)}")


def _advice(calls: Sequence[str]) -> str:
    """Why each has no form and what to use instead, where that is known; else what helps with any."""
    known: dict[str, None] = {}
    for call in calls:
        name = call.partition(" ")[0].removesuffix("_backward")
        reason = INSTEAD.get(name, _GENERAL)
        known[f"{name}: {reason}" if name in INSTEAD and len(calls) > 1 else reason] = None
    return "; ".join(known)


def _placed(call: str, places: Mapping[str, str]) -> str:
    # That of a backward pass is where the operator is that it is of.
    name = call.partition(" ")[0]
    path = places.get(name, places.get(name.removesuffix("_backward")))
    if path is None:
        return call
    return f"{call} (in the module {path!r})" if path else f"{call} (in the model itself)"


class _Translation:
    """The state of one translation: what stands for each node of torch's graph."""

    def __init__(self, traced: Traced, state: Collection[str], stored: Mapping[str, onnx.TensorProto]) -> None:
        self._traced, self._state, self._stored = traced, state, stored
        self._g = Writer()
        self._values: dict[Node, Any] = {}
        self._known: dict[Value, Tensor] = {}
        # Of the numbers that are elements of tensors, their values.
        self._read: dict[Any, Value] = {}
        self._inputs: list[Tensor] = []

    def read_inputs(self) -> None:
        """Names what is given: image, labels and state as inputs, the rest as initializers."""
        for name in (LOSS, LOGITS, *self._traced.given):
            self._g.name(name)
        for name, node in self._traced.given.items():
            if name in (IMAGE, LABELS) or name in self._state:
                self._values[node] = self._input(name, node.meta["val"])
            else:
                self._values[node] = self._constant(name, self._traced.tensors[name])
        for node in self._traced.graph.nodes:
            if node.op == "get_attr":
                self._values[node] = self._constant(self._g.name(node.name), self._traced.tensors[node.name])
        self._g.remember("batch", (IMAGE,))

    def _input(self, name: str, meta: torch.Tensor) -> Tensor:
        tensor = described(name, meta)
        if name in (IMAGE, LABELS) or tensor.dtype == torch.float32:
            self._inputs.append(tensor)
            self._known[name] = tensor
            return tensor
        # The state is one vector of float32, in which a counter is exact up to 2²⁴.
        self._inputs.append(Tensor(name, tensor.shape, torch.float32))
        return Tensor(self._g.cast(name, tensor.dtype), tensor.shape, tensor.dtype)

    def _constant(self, name: str, values: torch.Tensor) -> Tensor:
        if values.is_complex():
            real, imaginary = (self._constant(self._g.name(name), part) for part in (values.real, values.imag))
            return Tensor(real.value, real.shape, values.dtype, imaginary.value)
        self._g.constants[name] = self._stored.get(name) or numpy_helper.from_array(
            values.detach().cpu().contiguous().numpy(), name
        )
        self._known[name] = described(name, values)
        return self._known[name]

    def write_calls(self) -> None:
        """Writes every call of an operator.

        Raises:
          LoweringError: some have no rule, or ask for what their rule has not.
        """
        unknown: dict[str, None] = {}
        for node in self._traced.graph.nodes:
            if node.op != "call_function" or self._is_size(node):
                self._read_element(node)
                continue
            if node.target is operator.getitem:
                given = self._values.get(node.args[0])
                # What nobody reads a rule need not give.
                self._values[node] = given[node.args[1]] if given is not None and node.users else None
                continue
            name = str(node.target).removeprefix("aten.").rpartition(".")[0]
            if name in _IGNORED:
                continue
            try:
                self._values[node] = self._written(node, name)
            except UntranslatedError as error:
                unknown[f"{name} {error}"] = None
            except _UnknownError:
                unknown[name] = None
            if unknown:
                self._values.setdefault(node, None)
        if unknown:
            raise UnknownOperatorsError(tuple(unknown))

    def _read_element(self, node: Node) -> None:
        """Of `x.item()` of floats the tensor is what stands for the number."""
        if node.target is torch.ops.aten._local_scalar_dense.default and isinstance(node.meta["val"], torch.SymFloat):
            element: Tensor | None = self._argument(node.args[0])
            if element:
                self._read[node.meta["val"].node.expr] = self._g.as_type(element, torch.float32)

    @staticmethod
    def _is_size(node: Node) -> bool:
        return isinstance(node.meta.get("val"), (torch.SymInt, torch.SymFloat, torch.SymBool, int, float, bool))

    def _written(self, node: Node, name: str) -> Any:
        if not isinstance(node.target, torch._ops.OpOverload) or not (name in RULES or name in COMPLEX_RULES):
            raise _UnknownError
        call = self._call(node, name, node.target)
        rule = complex_rule(call) or RULES.get(name)
        if rule is None:
            if self._lacks(node):
                return None
            raise _UnknownError
        try:
            returned = widened(call, rule)(call, self._g)
        except PipelineError:
            raise
        except Exception as error:
            if self._lacks(node):
                return None
            raise UntranslatedError(f"in this form ({in_one_line(error)[:100]})") from error
        values = (returned,) if isinstance(returned, (str, Complex)) else returned
        made = tuple(
            _named(value, meta) if value and meta else None for value, meta in zip(values, call.results, strict=False)
        )
        for tensor in made:
            if tensor:
                for value in filter(None, (tensor.value, tensor.imaginary)):
                    self._known.setdefault(value, tensor)
        return made if isinstance(node.meta["val"], (tuple, list)) else made[0]

    def _lacks(self, node: Node) -> bool:
        """Whether it reads what an unknown operator should have given."""
        return any(self._values.get(value) is None for value in node.all_input_nodes if not self._is_size(value))

    def _call(self, node: Node, name: str, overload: torch._ops.OpOverload) -> Call:
        schema = overload._schema.arguments
        given = dict(zip((argument.name for argument in schema), node.args, strict=False)) | dict(node.kwargs)
        arguments = {a.name: given.get(a.name, a.default_value if a.has_default_value() else None) for a in schema}
        metas = node.meta["val"] if isinstance(node.meta["val"], (tuple, list)) else (node.meta["val"],)
        several = isinstance(node.meta["val"], (tuple, list))
        read = {user.args[1] for user in node.users if user.target is operator.getitem and user.users}
        return Call(
            name,
            {key: self._argument(value) for key, value in arguments.items()},
            tuple(described("", meta) if isinstance(meta, torch.Tensor) else None for meta in metas),
            tuple(index in read for index in range(len(metas))) if several else (bool(node.users),),
        )

    def _argument(self, value: Any) -> Any:
        if isinstance(value, Node):
            meta = value.meta.get("val")
            if isinstance(meta, torch.SymFloat):
                return number_of(meta, self._read, self._g)
            return size_of(meta) if isinstance(meta, (torch.SymInt, int)) else self._values.get(value)
        if isinstance(value, (list, tuple)):
            return [self._argument(part) for part in value]
        return size_of(value) if isinstance(value, torch.SymInt) else value

    def model(self) -> onnx.ModelProto:
        """What the module returns and what it changes, as a model."""
        results = self._results()
        self._g.publish({name: tensor.value for name, tensor in results.items()})
        nodes = needed(self._g.nodes, list(results))
        read = {value for node in nodes for value in node.input} | results.keys()
        for node in nodes:
            if not onnx.defs.has(node.op_type, OPSET):
                node.domain = CONTRIBUTED
        graph = helper.make_graph(
            nodes,
            "module",
            [_info(tensor.value, tensor) for tensor in self._inputs],
            [_info(name, tensor) for name, tensor in results.items()],
            [tensor for value, tensor in self._g.constants.items() if value in read],
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIBUTED, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        made = {name for node in nodes for name in node.output}
        model.graph.value_info.extend(
            _info(name, tensor) for name, tensor in self._known.items() if name in made and name not in results
        )
        return onnx.shape_inference.infer_shapes(model)

    def _results(self) -> dict[str, Tensor]:
        results: dict[str, Tensor] = {}
        for name, node in self._traced.results.items():
            tensor: Tensor = self._values[node]
            if name.startswith(RENEWED):
                if name.removeprefix(RENEWED) not in self._state:
                    continue
                tensor = Tensor(self._g.as_type(tensor, torch.float32), tensor.shape, torch.float32)
            results[name] = tensor
        return results


class _UnknownError(Exception):
    """An operator has no rule."""


def _named(value: Value | Complex, meta: Tensor) -> Tensor:
    """What a rule gave, with torch's shape and type."""
    if isinstance(value, Complex):
        return replace(meta, value=value.real, imaginary=value.imaginary)
    return replace(meta, value=value)


def _info(name: str, tensor: Tensor) -> onnx.ValueInfoProto:
    shape: Shape = tensor.shape
    dtype = tensor.dtype.to_real() if tensor.dtype.is_complex else tensor.dtype
    return helper.make_tensor_value_info(name, onnx_type(dtype), list(shape))
