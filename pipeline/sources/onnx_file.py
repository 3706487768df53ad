"""A user's ONNX file, as a whole model or as the backbone under a new head.

Both give the forward graph: `image` float32 N×C×H×W → `logits` float32 N×classes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from device_runtime.formats.model import Pixels
from pipeline.errors import ModelError, PipelineError
from pipeline.graphs.edits import rename
from pipeline.graphs.names import IMAGE, LOGITS
from pipeline.graphs.reading import opset_of
from pipeline.recipe import Preprocessing

if TYPE_CHECKING:
    import onnx

# Opsets of the graphs here, best first: the last for whose every operator onnxruntime-training 1.19.2 has its
# gradients, and that of the lowered graphs, which has layer normalisation.
OPSETS = (15, 17)


def load_network(path: Path) -> onnx.ModelProto:
    """Reads a model with one input and one output, which get the names `image` and `logits`, in one of OPSETS.

    Raises:
      ModelError: the file cannot be read, is no valid ONNX model, or not of this form.
    """
    return _named(_converted(_load(path), path), path)


def files_of(path: Path) -> list[Path]:
    """The file of a model, and those beside it that hold its weights."""
    import onnx

    stored = (tensor.external_data for tensor in onnx.load(path, load_external_data=False).graph.initializer)
    names = {entry.value for entries in stored for entry in entries if entry.key == "location"}
    return [path, *(path.parent / name for name in sorted(names))]


def fit_preprocessing(path: Path, pixels: Pixels, preprocessing: Preprocessing) -> Preprocessing:
    """`preprocessing` for the size of a model's input, as far as the file says it.

    Raises:
      ModelError: the file cannot be read, or the model takes no images of the dataset's channels.
    """
    tensor = _load(path).graph.input[0].type.tensor_type
    shape = [dim.dim_value for dim in tensor.shape.dim]
    if len(shape) != 4 or shape[1] not in (0, pixels.channels):
        raise ModelError(
            f"{path} takes an input of shape {'×'.join(str(size or 'N') for size in shape)}, the dataset's images are "
            f"N×{pixels.channels}×{pixels.height}×{pixels.width}: convert the dataset, or export the model for it"
        )
    return replace(preprocessing, height=shape[2] or preprocessing.height, width=shape[3] or preprocessing.width)


def with_head(path: Path, pixels: Pixels, preprocessing: Preprocessing, classes: int, seed: int) -> onnx.ModelProto:
    """The forward graph of a backbone from a file, and a new head `head.weight`, `head.bias` on its output.

    Raises:
      ModelError: the file is no backbone: float32 N×C×H×W → N×F, for any N.
    """
    from onnx import compose

    from pipeline.graphs.inference_mode import trains

    own = _load(path)
    # What stays frozen is neither differentiated nor lowered, so it may keep an opset that cannot be converted.
    with suppress(PipelineError):
        own = _converted(own, path)
    # The names of the head are free behind the prefix.
    model = compose.add_prefix(_named(own, path), "backbone/")
    if any(trains(node) for node in model.graph.node):
        raise ModelError(f"{path} normalises batches as in training: export it in inference mode (model.eval())")
    rename(model, f"backbone/{IMAGE}", IMAGE)
    sizes = (pixels.channels, preprocessing.height, preprocessing.width)
    features = _features(model, path, sizes)
    # The files often leave these open, and shape inference does not always find them.
    for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim[1:], sizes, strict=True):
        dim.dim_value = size
    _append_head(model, features, classes, seed)
    return model


def _append_head(model: onnx.ModelProto, features: int, classes: int, seed: int) -> None:
    """Puts an untrained dense layer behind a backbone whose output is `backbone/logits`, float32 N×features."""
    import torch
    from onnx import TensorProto, helper, numpy_helper

    from pipeline.sources.models.transfer import new_head

    graph, given = model.graph, f"backbone/{LOGITS}"
    graph.value_info.append(helper.make_tensor_value_info(given, TensorProto.FLOAT, ["N", features]))
    torch.manual_seed(seed)
    for name, tensor in new_head(features, classes).state_dict().items():
        graph.initializer.append(numpy_helper.from_array(tensor.numpy(), f"head.{name}"))
    graph.node.append(helper.make_node("Gemm", [given, "head.weight", "head.bias"], [LOGITS], "head", transB=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["N", classes]))


def _named(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    import onnx

    rename(model, model.graph.input[0].name, IMAGE)
    rename(model, model.graph.output[0].name, LOGITS)
    for info in (model.graph.input[0], model.graph.output[0]):
        info.type.tensor_type.shape.dim[0].dim_param = "N"
    # Shapes that the exporter noted may hold the batch size of its example.
    del model.graph.value_info[:]
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{path} is not a valid ONNX model: {str(error).splitlines()[0]}") from error
    return model


def _load(path: Path) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    from pipeline.graphs.graph import IR_VERSION

    try:
        model = onnx.load(path)
        model.ir_version = min(model.ir_version, IR_VERSION)
        onnx.checker.check_model(model)
    except (DecodeError, OSError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{path} is not a valid ONNX model: {str(error).splitlines()[0]}") from error
    # Old files list their weights among the inputs.
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [info for info in model.graph.input if info.name not in weights]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise ModelError(
            f"{path} has {len(inputs)} inputs and {len(model.graph.output)} outputs: it has to have one input (the "
            "image, float32 N×C×H×W) and one output"
        )
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model


def _converted(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model in the first of OPSETS that it can be converted to."""
    from onnx import version_converter

    from pipeline.sources.opset import in_opset_17

    if opset_of(model) in OPSETS:
        return model
    try:
        older = in_opset_17(model) if opset_of(model) > OPSETS[-1] else model
    except ModelError as error:
        raise ModelError(f"{path} is of {error}: export it with opset_version={OPSETS[-1]}") from error
    for opset in OPSETS:
        # The converter's own errors are of no narrower class, and name its source files.
        with suppress(RuntimeError, ValueError):
            return version_converter.convert_version(older, opset)
    raise ModelError(
        f"{path} is of opset {opset_of(model)} and cannot be converted to {' or '.join(map(str, OPSETS))}: "
        f"export it with opset_version={OPSETS[-1]}"
    )


def _features(model: onnx.ModelProto, path: Path, sizes: tuple[int, int, int]) -> int:
    """How many numbers a backbone gives for an image of these sizes, found by running it."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    images = np.zeros((2, *sizes), np.float32)
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        shape = session.run(None, {IMAGE: images})[0].shape
    # ONNX Runtime's exceptions have no base class of their own.
    except Exception as error:
        raise ModelError(
            f"{path} cannot run on two images of {'×'.join(map(str, sizes))}: {str(error).splitlines()[0]}; "
            "export it with a dynamic batch"
        ) from error
    if len(shape) != 2 or shape[0] != len(images):
        raise ModelError(
            f"{path} gives {'×'.join(map(str, shape))} numbers for two images: a backbone has to give N×F; "
            "pool and flatten its output, and export it with a dynamic batch"
        )
    return int(shape[1])
