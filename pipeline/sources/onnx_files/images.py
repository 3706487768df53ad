"""What images a model takes: their size, and whether channels come first, or last as TensorFlow has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from device_runtime.formats.sample import Sample
from pipeline.errors import ModelError
from pipeline.graphs.edits import rename
from pipeline.graphs.graph import Graph
from pipeline.recipe import Preprocessing


@dataclass(frozen=True)
class ImageInput:
    """Sizes of a model's input, 0 where the file leaves them open."""

    height: int
    width: int
    channels_last: bool


def image_input(model: onnx.ModelProto, sample: Sample, path: Path) -> ImageInput:
    """How the model takes the dataset's images.

    Raises:
      ModelError: it takes none of the dataset's channels, or no float images at all.
    """
    tensor = model.graph.input[0].type.tensor_type
    shape = [max(dim.dim_value, 0) for dim in tensor.shape.dim]
    if tensor.elem_type != TensorProto.FLOAT:
        kind = (
            TensorProto.DataType.Name(tensor.elem_type).lower()
            if tensor.elem_type in TensorProto.DataType.values()
            else "unknown"
        )
        raise ModelError(f"{path} takes an input of type {kind}: it has to take float32 images")
    if len(shape) == 4 and (shape[1] == sample.shape[2] or (shape[1] == 0 and shape[3] != sample.shape[2])):
        return ImageInput(shape[2], shape[3], channels_last=False)
    if len(shape) == 4 and shape[3] == sample.shape[2]:
        return ImageInput(shape[1], shape[2], channels_last=True)
    raise ModelError(
        f"{path} takes an input of shape {'×'.join(str(size or 'N') for size in shape)}, the dataset's images are "
        f"N×{sample.shape[2]}×{sample.shape[0]}×{sample.shape[1]}: convert the dataset, or export the model for it"
    )


def fix_images(model: onnx.ModelProto, found: ImageInput, preprocessing: Preprocessing, channels: int) -> None:
    """Gives the model N×C×H×W of the preprocessing's size as its input, transposed in front where it wants other."""
    info, height, width = model.graph.input[0], preprocessing.height, preprocessing.width
    if found.channels_last:
        g, old = Graph.beside(model), info.name
        transposed = g.name(f"{old}/channels_last")
        rename(model, old, transposed)
        node = helper.make_node("Transpose", [old], [transposed], name=transposed, perm=[0, 2, 3, 1])
        model.graph.node.insert(0, node)
        info.name = old
    dims = info.type.tensor_type.shape.dim
    batch = dims[0].dim_value
    info.CopyFrom(
        helper.make_tensor_value_info(
            info.name, TensorProto.FLOAT, [batch if batch > 0 else "N", channels, height, width]
        )
    )
    # What the exporter noted of shapes belongs to the sizes that it knew.
    del model.graph.value_info[:]
