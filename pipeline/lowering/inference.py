"""The trained model: one inference .onnx, raw uint8 pixels N×H×W×C in, logits out; and torch's own state dict.

Of arrays its input is called `input`; and what it says of values is `output`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from device_runtime.formats.checkpoint import read_checkpoint
from device_runtime.formats.model import by_name, read_model
from device_runtime.formats.sample import VALUES
from device_runtime.formats.steps import BUFFER, PARAMETER
from pipeline.capture.preprocess import after_preprocessing
from pipeline.capture.state import with_values
from pipeline.errors import ModelError
from pipeline.files import new_file
from pipeline.graphs.edits import rename
from pipeline.graphs.inference_mode import to_inference_mode
from pipeline.graphs.names import FEATURES, IMAGE, LOGITS
from pipeline.lowering.int8 import FEATURES_FILE, RECORD

if TYPE_CHECKING:
    import onnx


def write_inference_model(
    export_folder: Path,
    model_folder: Path,
    checkpoint: Path,
    file: Path,
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Puts a checkpoint's parameters into the forward graph, the preprocessing before it, and writes `file`.

    Args:
      export_folder: what the export wrote.
      model_folder: what the lowering wrote.
      checkpoint: of that model.
      file: takes the inference model.
      metadata: what it says of itself, by key.

    Raises:
      FormatError: the checkpoint is damaged or of another model.
      ModelError: the result is not a valid model.
    """
    import onnx

    try:
        if (model_folder / RECORD).is_file():
            merged = _behind_int8(model_folder, checkpoint)
        else:
            forward = _trained_forward(export_folder, model_folder, checkpoint)
            to_inference_mode(forward)
            merged = after_preprocessing(onnx.load(export_folder / "preprocess.onnx"), forward)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"the trained model cannot be written as ONNX: {error}") from error
    model = read_model(model_folder)
    if not model.input.is_picture:
        rename(merged, IMAGE, "input")
    if model.target.kind == VALUES:
        rename(merged, LOGITS, "output")
    for key, value in metadata.items():
        merged.metadata_props.add(key=key, value=value)
    with new_file(file) as temporary:
        onnx.save(merged, temporary)


def write_state_dict(export_folder: Path, model_folder: Path, checkpoint: Path, file: Path) -> None:
    """Writes the trained weights under torch's names, which `module.load_state_dict` takes, to a safetensors file.

    Of a model that came as an ONNX file nothing is written.

    Raises:
      FormatError: the checkpoint is damaged or of another model.
    """
    from onnx import numpy_helper
    from safetensors.numpy import save_file

    forward = _trained_forward(export_folder, model_folder, checkpoint)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in forward.graph.initializer}
    state = with_values(export_folder, values)
    if state is not None:
        with new_file(file) as temporary:
            save_file(state, temporary)


def _behind_int8(model_folder: Path, checkpoint: Path) -> onnx.ModelProto:
    """The quantised backbone, and behind it what was trained on its features, with a checkpoint's parameters."""
    import onnx
    from onnx import compose, numpy_helper
    from onnx.utils import Extractor

    model = read_model(model_folder)
    trained = read_checkpoint(checkpoint, model)
    evaluation = onnx.load(model_folder / "eval_step.onnx")
    kinds = ((PARAMETER, trained.parameters, model.parameters), (BUFFER, trained.buffers, model.buffers))
    values = {f"{kind}{name}": v for kind, vector, tensors in kinds for name, v in by_name(vector, tensors).items()}
    head = Extractor(evaluation).extract_model([FEATURES, *values], [LOGITS])
    head.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    del head.graph.input[1:]
    backbone = onnx.load(model_folder / FEATURES_FILE)
    # The graphs meet in one value alone, whatever else is named alike in them.
    compose.add_prefix(backbone, "backbone/", inplace=True)
    rename(backbone, f"backbone/{IMAGE}", IMAGE)
    head.ir_version = backbone.ir_version
    merged: onnx.ModelProto = compose.merge_models(backbone, head, [(f"backbone/{FEATURES}", FEATURES)])
    onnx.checker.check_model(merged)
    return merged


def _trained_forward(export_folder: Path, model_folder: Path, checkpoint: Path) -> onnx.ModelProto:
    """The forward graph with a checkpoint's parameters and buffers."""
    import onnx
    from onnx import numpy_helper

    model = read_model(model_folder)
    trained = read_checkpoint(checkpoint, model)
    forward = onnx.load(export_folder / "forward.onnx")
    tensors = {tensor.name: tensor for tensor in forward.graph.initializer}
    for vector, layout in ((trained.parameters, model.parameters), (trained.buffers, model.buffers)):
        for name, values in by_name(vector, layout).items():
            tensors[name].CopyFrom(numpy_helper.from_array(values, name))
    return forward
