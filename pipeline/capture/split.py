"""Cuts a forward graph where training begins: a frozen backbone, and the part whose gradients are needed.

The backbone runs in inference mode, apart from the train step, so its features can be kept between epochs, and
onnxruntime-training never sees its batch normalisation, which it would turn into training mode.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection
from pathlib import Path

import onnx
from onnx.utils import Extractor

from pipeline.errors import UsageError, brief
from pipeline.graphs.edits import kept_constants, rename
from pipeline.graphs.files import REFERENCE
from pipeline.graphs.inference_mode import BATCH_NORM, to_inference_mode
from pipeline.graphs.names import FEATURES, IMAGE, LOGITS


def split_forward(
    forward: onnx.ModelProto, trainable: Collection[str]
) -> tuple[onnx.ModelProto, onnx.ModelProto] | None:
    """The backbone (`image` → `features`) and the rest (`features` → `logits`).

    None where no layer stands before the first trainable one, or where the two parts meet in more than one value.
    """
    meeting = _meeting_values(forward, trainable)
    if len(meeting) != 1 or meeting[0] == IMAGE:
        return None
    inferred = onnx.shape_inference.infer_shapes(forward)
    extractor = Extractor(inferred)
    backbone = extractor.extract_model([IMAGE], meeting)
    # What only scales, reshapes or casts the image costs nothing to pass again, and may give no float32 features.
    if not _has_layers(backbone):
        return None
    rest = extractor.extract_model(meeting, [LOGITS])
    to_inference_mode(backbone)
    for model in (backbone, rest):
        rename(model, meeting[0], FEATURES)
        for info in (*model.graph.input, *model.graph.output):
            info.type.tensor_type.shape.dim[0].dim_param = "N"
        model.ir_version = forward.ir_version
    return backbone, rest


def _meeting_values(forward: onnx.ModelProto, trainable: Collection[str]) -> list[str]:
    """Values that depend on the image but on no trainable parameter, and are read by what depends on one."""
    trained, images = set(trainable), {IMAGE}
    meeting: dict[str, None] = {}
    for node in forward.graph.node:
        if trained.intersection(node.input):
            meeting.update(dict.fromkeys(name for name in node.input if name in images and name not in trained))
            trained.update(node.output)
        if images.intersection(node.input):
            images.update(node.output)
    return list(meeting)


def trained_part(export_folder: Path) -> Path:
    """The graph that onnxruntime-training differentiates: what follows a frozen backbone, or the whole model."""
    if (export_folder / REFERENCE).exists():
        return export_folder / REFERENCE
    part = export_folder / "trained.onnx"
    return part if part.exists() else export_folder / "forward.onnx"


def split_parameters(forward: onnx.ModelProto, patterns: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Names of the trainable and of the frozen parameters: float32 initializers that match a pattern, and the rest.

    Raises:
      UsageError: nothing is left to train.
    """
    floats = _parameters(forward)
    statistics = {name for n in forward.graph.node if n.op_type == "BatchNormalization" for name in n.input[3:5]}
    candidates = [name for name in floats if name not in statistics]
    trainable = [name for name in candidates if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    if not candidates:
        raise UsageError("the model has no parameter to train: all are frozen, or of another type than float32")
    if not trainable:
        raise UsageError(
            f"no parameter matches {', '.join(patterns)}: the model has {brief(candidates) or 'none'}; "
            f"its constants, which never train: {brief(kept_constants(forward)) or 'none'}"
        )
    return trainable, [name for name in floats if name not in trainable]


def _has_layers(backbone: onnx.ModelProto) -> bool:
    """Whether it holds batch normalisation, or a matrix or more: as initializer or, as some exporters write, constant.

    A mean for each channel, which a module may take off its images, is a vector.
    """
    nodes = backbone.graph.node
    constants = [attribute.t for node in nodes if node.op_type == "Constant" for attribute in node.attribute]
    matrices = (sum(size > 1 for size in t.dims) > 1 for t in (*backbone.graph.initializer, *constants))
    return any(node.op_type == BATCH_NORM for node in nodes) or any(matrices)


def _parameters(forward: onnx.ModelProto) -> list[str]:
    """Names of the float32 initializers: what is no parameter stands as a Constant."""
    return [t.name for t in forward.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
