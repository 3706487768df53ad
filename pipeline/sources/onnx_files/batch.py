"""A model that was written for one batch size, for any.

Exporters leave the batch of their example in the shapes of Reshapes. Each that begins with it is opened, and the result
is held against the original file, image by image: what then differs was no batch.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from pipeline.commands import run as run_program
from pipeline.errors import CommandError, ModelError
from pipeline.graphs.graph import Graph
from pipeline.graphs.inference_mode import to_inference_mode
from pipeline.graphs.running import open_graph, run, watching
from pipeline.sources.onnx_files import trial
from pipeline.sources.onnx_files.refusals import advice_for, reason_of

# Probed with three: what two have in common by chance, a third has not.
BATCHES = (2, 3, 5)
TOLERANCE = 1e-3
TRIAL_S = 600


def with_any_batch(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model with an open batch, each of whose images gives what it gives alone.

    Args:
      model: its input has four axes, of which all but the first are known.
      path: for the message.

    Raises:
      ModelError: it runs with no batch at all, or not with every.
    """
    size = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    own, calm = max(size, 1), _in_inference_mode(model)
    _survive(calm, path)
    try:
        expected = _outputs(calm, own)
    # ONNX Runtime's exceptions have no base class of their own.
    except Exception as error:
        raise ModelError(f"{path} cannot run: {reason_of(error)}; {advice_for(error)}") from error
    reason = _difference(_opened(calm), own, expected)
    shapes = _open_shapes(calm, own) if reason else {}
    if reason and _difference(_with_shapes(_opened(calm), shapes), own, expected):
        raise ModelError(f"{path} does not run with every batch: {reason}; export it with a dynamic batch")
    opened = _with_shapes(_opened(model), shapes)
    name, kind = opened.graph.output[0].name, helper.np_dtype_to_tensor_dtype(expected.dtype)
    output = helper.make_tensor_value_info(name, kind, ["N", *expected.shape[1:]] if expected.ndim else [])
    opened.graph.output[0].CopyFrom(output)
    return opened


def _survive(model: onnx.ModelProto, path: Path) -> None:
    """Refuses a model that ends the process which runs it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        onnx.save(model, file)
        try:
            # Without the folder of the program among those that modules come from.
            run_program([sys.executable, "-P", trial.__file__, file], timeout_s=TRIAL_S)
        except CommandError as error:
            raise ModelError(f"{path} makes onnxruntime crash or hang: it is damaged; export it again") from error


def _in_inference_mode(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which an image gives the same whatever the others of its batch are."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    to_inference_mode(copy)
    return copy


def _difference(model: onnx.ModelProto, own: int, expected: npt.NDArray[np.generic]) -> str:
    """Why the model does not give for batches of three sizes what the original gives for its own; "" if it does."""
    try:
        session = open_graph(model)
        name, output = model.graph.input[0].name, model.graph.output[0].name
        for batch in BATCHES:
            given = run(session, [output], {name: _images(model, batch * own)})[output]
            if given.shape != (len(expected) * batch, *expected.shape[1:]):
                return f"a batch of {batch * own} gives {'×'.join(map(str, given.shape)) or 'one'} numbers"
            if own == 1 or batch == BATCHES[0]:
                largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=1e-6))
                if not np.allclose(given[: len(expected)], expected, rtol=0, atol=TOLERANCE * largest, equal_nan=True):
                    return f"a batch of {batch * own} gives other numbers than one of {own}"
    except Exception as error:
        return reason_of(error)
    return ""


def _outputs(model: onnx.ModelProto, batch: int) -> npt.NDArray[np.generic]:
    output = model.graph.output[0].name
    return run(open_graph(model), [output], {model.graph.input[0].name: _images(model, batch)})[output]


def _images(model: onnx.ModelProto, batch: int) -> npt.NDArray[np.float32]:
    """Noise; the first images of a larger batch are those of a smaller one."""
    sizes = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:]
    return np.random.default_rng(0).random((batch, *sizes), np.float32)


def _opened(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that notes no batch, in its input or elsewhere."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    copy.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    copy.graph.output[0].type.tensor_type.ClearField("shape")
    return copy


def _open_shapes(model: onnx.ModelProto, own: int) -> dict[str, list[int]]:
    """Shapes for the Reshapes whose constant shape begins with the batch, by their output, that let it follow."""
    watched, names = watching(_opened(model))
    images = {model.graph.input[0].name: _images(model, own)}
    sizes = {name: value.shape for name, value in {**images, **run(open_graph(watched), names, images)}.items()}
    constants, opened = _integer_constants(model), dict[str, list[int]]()
    for node in model.graph.node:
        shape, source = constants.get(node.input[1]) if node.op_type == "Reshape" else None, sizes.get(node.input[0])
        if shape is not None and source and shape.size and shape[0] > 0 and shape[0] % own == 0:
            same = shape[0] == source[0]
            opened[node.output[0]] = [0, *shape[1:]] if same else [-1, *sizes[node.output[0]][1:]]
    return opened


def _with_shapes(model: onnx.ModelProto, shapes: Mapping[str, list[int]]) -> onnx.ModelProto:
    """The model with these shapes in its Reshapes."""
    g = Graph.beside(model)
    for node in model.graph.node:
        if node.op_type == "Reshape" and node.output[0] in shapes:
            node.input[1] = g.ints(shapes[node.output[0]])
    model.graph.initializer.extend(g.constants.values())
    return model


def _integer_constants(model: onnx.ModelProto) -> dict[str, npt.NDArray[np.int64]]:
    known = {t.name: t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT64}
    for node in model.graph.node:
        if node.op_type == "Constant":
            tensors = [attribute.t for attribute in node.attribute if attribute.name == "value"]
            known.update((node.output[0], t) for t in tensors if t.data_type == onnx.TensorProto.INT64)
    arrays = {name: np.atleast_1d(numpy_helper.to_array(tensor)) for name, tensor in known.items()}
    return {name: array for name, array in arrays.items() if array.ndim == 1}
