"""A graph of the ONNX standard under construction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from pipeline.errors import LoweringError, in_one_line
from pipeline.graphs.bodies import rename_values, values_read
from pipeline.graphs.execution_order import asked_for_in_order
from pipeline.graphs.stored import check_graph, is_stored, place_of

# What the lowered graphs are written in. 17 has ScatterElements with a sum, and the operators of the exporter's
# opset 15 mean the same in it (18 moves the axes of reductions into inputs).
OPSET = 17
# Later versions add types that no float32 network has, and ONNX Runtime 1.19.2 reads none above 10.
IR_VERSION = 8

Value = str
Shape = tuple[int | str, ...]


class Graph:
    """Nodes and constants in the order they are written; every value has one name and is written once."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[Value, onnx.TensorProto] = {}
        self._by_content: dict[tuple[object, ...], Value] = {}
        self._names: set[str] = set()
        self._notes: dict[str, tuple[Any, ...]] = {}

    @classmethod
    def beside(cls, model: onnx.ModelProto) -> Graph:
        """A graph whose new values and nodes meet no name of `model`."""
        g, graph = cls(), model.graph
        taken = {value.name for value in (*graph.input, *graph.initializer, *graph.node)}
        for name in taken.union(*(node.output for node in graph.node)):
            g.name(name)
        return g

    def body(self) -> Graph:
        """A graph within an operator of this one: nodes of its own, names and constants of both."""
        inner = Graph()
        inner.constants, inner._by_content, inner._names = self.constants, self._by_content, self._names
        return inner

    def name(self, wish: str) -> Value:
        """A name that no other value has, `wish` itself when it is free."""
        name, count = wish, 1
        while name in self._names:
            count += 1
            name = f"{wish}.{count}"
        self._names.add(name)
        return name

    def op(self, op_type: str, *inputs: Value, **attributes: Any) -> Value:
        """Writes a node with one output and returns the output."""
        return self.ops(op_type, *inputs, outputs=1, **attributes)[0]

    def ops(self, op_type: str, *inputs: Value, outputs: int, **attributes: Any) -> tuple[Value, ...]:
        """Writes a node with several outputs and returns them."""
        wish = op_type if not inputs or not inputs[0] else f"{inputs[0].split('/')[0]}/{op_type}"
        names = [self.name(wish) for _ in range(outputs)]
        self.nodes.append(helper.make_node(op_type, list(inputs), names, name=names[0], **attributes))
        return tuple(names)

    def copy(self, node: onnx.NodeProto, inputs: Sequence[Value]) -> tuple[Value, ...]:
        """Writes a node of the standard as it is, reading `inputs`; its outputs keep their names where they can."""
        names = tuple(self.name(output) if output else "" for output in node.output)
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        del copied.input[:], copied.output[:]
        copied.input.extend(inputs)
        copied.output.extend(names)
        # The exporter's node names are no values' names, so they could meet those given here.
        copied.name = next(name for name in names if name)
        self.nodes.append(copied)
        return names

    def remember(self, key: str, values: tuple[Any, ...]) -> None:
        """Leaves values, and what is known of them, of a forward operator for the rule of its gradient."""
        self._notes[key] = values

    def recall(self, key: str) -> tuple[Any, ...]:
        """What the forward operator left under `key`."""
        return self._notes[key]

    def recall_or_none(self, key: str) -> tuple[Any, ...] | None:
        """What was left under `key`, or None."""
        return self._notes.get(key)

    def constant(self, array: npt.ArrayLike, dtype: npt.DTypeLike | None, name: str = "constant") -> Value:
        """A constant tensor; equal ones are stored once."""
        tensor = np.ascontiguousarray(np.asarray(array, dtype)).reshape(np.shape(array))
        key = (tensor.dtype.str, tensor.shape, tensor.tobytes())
        if key not in self._by_content:
            value = self.name(name)
            self._by_content[key] = value
            self.constants[value] = numpy_helper.from_array(tensor, value)
        return self._by_content[key]

    def tensor(self, tensor: onnx.TensorProto) -> Value:
        """A constant of another graph; one whose numbers stand in a file (`stored.py`) stays there."""
        if not is_stored(tensor):
            return self.constant(numpy_helper.to_array(tensor), None, tensor.name)
        key = (place_of(tensor), tensor.data_type, tuple(tensor.dims))
        if key not in self._by_content:
            value = self._by_content[key] = self.name(tensor.name)
            self.constants[value] = onnx.TensorProto()
            self.constants[value].CopyFrom(tensor)
            self.constants[value].name = value
        return self._by_content[key]

    def floats(self, array: npt.ArrayLike) -> Value:
        """A float32 constant."""
        return self.constant(array, np.float32)

    def ints(self, array: npt.ArrayLike) -> Value:
        """An int64 constant: shapes, axes, indices."""
        return self.constant(array, np.int64)

    def reshape(self, value: Value, shape: Shape) -> Value:
        """`value` in another shape; one symbolic size at most, which becomes -1."""
        sizes = [size if isinstance(size, int) else -1 for size in shape]
        return self.op("Reshape", value, self.ints(sizes))

    def sum(self, value: Value, axes: Sequence[int], keepdims: bool = False) -> Value:
        """Sum over some axes."""
        return self.op("ReduceSum", value, self.ints(list(axes)), keepdims=int(keepdims))

    def mask(self, condition: Value, value: Value) -> Value:
        """`value` where the condition holds, else 0; as a product, since the runtime takes longer for a Where."""
        return self.op("Mul", self.op("Cast", condition, to=onnx.TensorProto.FLOAT), value)

    def where_positive(self, condition: Value, value: Value) -> Value:
        """`value` where float32 `condition` is above 0, else 0; in proportion where it is below 3e-39.

        A sigmoid as steep as float32 allows is one pass over the memory where Greater and Cast are two.
        """
        steepest = float(np.finfo(np.float32).max)
        return self.op("Mul", self.op("HardSigmoid", condition, alpha=steepest, beta=0.0), value)

    def where_between(self, x: Value, low: float, high: float, value: Value) -> Value:
        """`value` where x is between the bounds, 0 where it is at one or beyond; as `where_positive` for each."""
        above = self.op("HardSigmoid", x, **_step_at(low, up=True))
        below = self.op("HardSigmoid", x, **_step_at(high, up=False))
        return self.op("Mul", self.op("Mul", value, above), below)

    def blend(self, old: Value, new: Value, keep: float) -> Value:
        """A moving average: keep × old + (1 − keep) × new."""
        if not keep:
            return new
        kept = self.op("Mul", old, self.floats(keep))
        return self.op("Add", kept, self.op("Mul", new, self.floats(1.0 - keep)))

    def publish(self, results: Mapping[str, Value]) -> None:
        """Gives values the names by which the finished model returns them.

        What a node computes is renamed, since the runtime would copy at an Identity.
        """
        computed = {value for node in self.nodes for value in node.output}
        # A value inside that has the name by chance makes room; the names are taken from now on.
        others = {name: self.name(name) for name in results.keys() - set(results.values())}
        renamed = {name: other for name, other in others.items() if name in computed}
        copied: list[tuple[Value, Value]] = []
        for name, value in results.items():
            if value in renamed or value not in computed:
                copied.append((renamed.get(value, value), name))
            else:
                renamed[value] = name
        for node in self.nodes:
            rename_values(node, renamed)
        self.nodes += [helper.make_node("Identity", [value], [name], name=name) for value, name in copied]

    def model(
        self, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> onnx.ModelProto:
        """The finished model, checked, without the nodes and constants that no output needs."""
        nodes = [_plain(node) for node in needed(self.nodes, [output.name for output in outputs])]
        nodes = asked_for_in_order(nodes)
        read = {value for node in nodes for value in values_read(node)} | {output.name for output in outputs}
        constants = [tensor for value, tensor in self.constants.items() if value in read]
        graph = helper.make_graph(nodes, name, list(inputs), list(outputs), constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="train-on-device",
        )
        try:
            check_graph(model)
        except onnx.checker.ValidationError as error:
            raise LoweringError(
                f"the {name} of this model would be no valid graph, a fault of the program: {in_one_line(error)}"
            ) from error
        return model


def _step_at(bound: float, up: bool) -> dict[str, float]:
    """The sigmoid that is 0 at a bound and 1 from the next number on, above or below.

    A slope that is a power of 2 makes x × slope exact, and a sum is 0 only where it is exactly.
    """
    slope = float(2.0 ** min(126 - math.frexp(bound)[1], 127))
    return {"alpha": slope if up else -slope, "beta": -bound * slope if up else bound * slope}


def _plain(node: onnx.NodeProto) -> onnx.NodeProto:
    """A Transpose that moves nothing as Identity: ONNX Runtime fuses any that follows a Gemm as if it swapped."""
    perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), [])
    if node.op_type != "Transpose" or not perm or perm != sorted(perm):
        return node
    return helper.make_node("Identity", node.input, node.output, node.name)


def needed(nodes: Sequence[onnx.NodeProto], outputs: Sequence[Value]) -> list[onnx.NodeProto]:
    """The nodes that some outputs are computed by."""
    wanted = set(outputs)
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(values_read(node))
    return kept[::-1]
