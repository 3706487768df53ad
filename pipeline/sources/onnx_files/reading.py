"""A file → the model in it: checked, with one input and one output, its weights no inputs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ModelError
from pipeline.graphs.names import LOGITS
from pipeline.graphs.reading import opset_of
from pipeline.sources.onnx_files.refusals import reason_of

if TYPE_CHECKING:
    import onnx

STANDARD = ("", "ai.onnx")
OLDEST_OPSET = 7
_WITH_AXES = frozenset(("Squeeze", "Unsqueeze", "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2"))
# 11 added how a model is spread over devices, 12 and 13 types of less than a byte: nothing that a network here has.
NEWEST_IR = 13


def say(line: str) -> None:
    """Tells the user on stderr what is done with the file that it does not say itself."""
    print(line, file=sys.stderr, flush=True)


def read(path: Path) -> onnx.ModelProto:
    """The model of a file, of an IR version that everything here reads.

    Raises:
      ModelError: the file cannot be read, is no valid model or too new or old a one, or has not one input.
    """
    import onnx

    from pipeline.graphs.graph import IR_VERSION
    from pipeline.sources.onnx_files.newest import in_opset_21

    try:
        model = onnx.load(path)
    # Files of weights bring further errors, of builtin classes.
    except Exception as error:
        raise ModelError(f"{path} is not a valid ONNX model: {reason_of(error)}; export it again") from error
    _check_versions(model, path)
    in_opset_21(model)
    _axes_as_vectors(model.graph)
    _keep_one_input(model, path)
    model.ir_version = IR_VERSION
    check(model, path)
    return model


def check(model: onnx.ModelProto, path: Path) -> None:
    """Refuses what onnx's checker finds.

    Raises:
      ModelError: the model is not valid.
    """
    import onnx

    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise ModelError(f"{path} is not a valid ONNX model: {reason_of(error)}; export it again") from error


def subgraphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and those inside of its operators."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from subgraphs(inner)


def _check_versions(model: onnx.ModelProto, path: Path) -> None:
    from pipeline.sources.onnx_files.newest import NEWEST

    opset = opset_of(model)
    if model.ir_version > NEWEST_IR:
        raise ModelError(
            f"{path} is of IR version {model.ir_version}, read are those up to {NEWEST_IR}: "
            "export it with opset_version=17"
        )
    if not OLDEST_OPSET <= opset <= NEWEST:
        raise ModelError(
            f"{path} is of opset {opset}, read are those from {OLDEST_OPSET} to {NEWEST}: "
            "export it with opset_version=17"
        )


def _axes_as_vectors(graph: onnx.GraphProto) -> None:
    """Gives a single axis, as torch's new exporter writes it, an axis of its own: the gradient takes no other."""
    from onnx import TensorProto

    constants = {node.output[0]: a.t for node in graph.node for a in node.attribute if node.op_type == "Constant"}
    given = constants | {tensor.name: tensor for tensor in graph.initializer}
    scalars = {name: t for name, t in given.items() if t.data_type == TensorProto.INT64 and not t.dims}
    vectors: dict[str, str] = {}
    for node in graph.node:
        if node.op_type in _WITH_AXES and len(node.input) > 1 and node.input[1] in scalars:
            name = node.input[1]
            if name not in vectors:
                vectors[name] = f"{name}/axes"
                vector = graph.initializer.add()
                vector.CopyFrom(scalars[name])
                vector.name = vectors[name]
                vector.dims.append(1)
            node.input[1] = vectors[name]


def _keep_one_input(model: onnx.ModelProto, path: Path) -> None:
    """Old files list their weights among the inputs."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [info for info in model.graph.input if info.name not in weights]
    if len(inputs) != 1 or not inputs[0].type.HasField("tensor_type"):
        names = ", ".join(info.name for info in inputs) or "none"
        raise ModelError(
            f"{path} has {len(inputs)} inputs ({names}): it has to have one, the image, float32 N×C×H×W; "
            "export it with the others fixed"
        )
    del model.graph.input[:]
    model.graph.input.extend(inputs)


def keep_one_output(model: onnx.ModelProto, path: Path) -> None:
    """Leaves out all outputs but `logits`, or the first.

    Raises:
      ModelError: there is none.
    """
    outputs = list(model.graph.output)
    if not outputs:
        raise ModelError(f"{path} has no output: it has to have one, the logits; export it again")
    chosen = next((info for info in outputs if info.name == LOGITS), outputs[0])
    if len(outputs) > 1:
        names = ", ".join(info.name for info in outputs)
        say(f"{path} has {len(outputs)} outputs ({names}): {chosen.name} is trained, the others are left out")
        del model.graph.output[:]
        model.graph.output.append(chosen)
        _leave_out_unread(model.graph)


def _leave_out_unread(graph: onnx.GraphProto) -> None:
    """Leaves out the operators and weights that only led to an output that is gone."""
    wanted = {info.name for info in graph.output}
    for node in reversed(list(graph.node)):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            wanted.update(name for inner in _inner_nodes(node) for name in inner.input)
        else:
            graph.node.remove(node)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in wanted]:
        graph.initializer.remove(tensor)


def _inner_nodes(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for inner in subgraphs(graph):
                yield from inner.node
