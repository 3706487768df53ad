"""Raw pixels to the model's input, as an ONNX graph: the device feeds uint8 and the runtime does the rest.

Writes preprocess.onnx: `pixels` uint8 N×H×W×C → `image` float32 N×C×H'×W'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from device_runtime.formats.model import Pixels
from pipeline.errors import UsageError
from pipeline.graphs.edits import rename
from pipeline.recipe import Preprocessing

if TYPE_CHECKING:
    import onnx


def build_preprocessing(pixels: Pixels, preprocessing: Preprocessing, opset: int) -> onnx.ModelProto:
    """The graph that turns a batch of the dataset's images into a batch of the model's inputs.

    Raises:
      UsageError: mean or std do not fit the number of channels.
    """
    import onnx
    from onnx import TensorProto, helper

    from pipeline.graphs.graph import IR_VERSION

    factor, offset = _affine(pixels.channels, preprocessing)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["pixels_float"], to=TensorProto.FLOAT),
        _channels_first(pixels),
        # One pass, and the runtime does not move it before the transposition, where channels broadcast slowly.
        helper.make_node(
            "BatchNormalization",
            ["pixels_nchw", "factor", "offset", "no_mean", "no_variance"],
            ["pixels_normal"],
            epsilon=0.0,
        ),
    ]
    constants = {
        "factor": factor,
        "offset": offset,
        "no_mean": np.zeros(pixels.channels, np.float32),
        "no_variance": np.ones(pixels.channels, np.float32),
    }
    initializers = [onnx.numpy_helper.from_array(values, name) for name, values in constants.items()]
    if pixels.channels == 1:
        shape = np.array([0, 1, pixels.height, pixels.width], np.int64)
        initializers.append(onnx.numpy_helper.from_array(shape, "nchw_shape"))
    if (pixels.height, pixels.width) != (preprocessing.height, preprocessing.width):
        # The affine map goes first, on the smaller tensor: bilinear weights sum to 1, so the two commute.
        scales = np.array([1, 1, preprocessing.height / pixels.height, preprocessing.width / pixels.width], np.float32)
        initializers.append(onnx.numpy_helper.from_array(scales, "resize_scales"))
        nodes.append(helper.make_node("Resize", ["pixels_normal", "", "resize_scales"], ["image"], mode="linear"))
    else:
        nodes[-1].output[0] = "image"
    graph = helper.make_graph(
        nodes,
        "preprocess",
        [
            helper.make_tensor_value_info(
                "pixels", TensorProto.UINT8, ["N", pixels.height, pixels.width, pixels.channels]
            )
        ],
        [
            helper.make_tensor_value_info(
                "image", TensorProto.FLOAT, ["N", pixels.channels, preprocessing.height, preprocessing.width]
            )
        ],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)


def after_preprocessing(preprocess: onnx.ModelProto, model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` (`image` → …) with the preprocessing before it: its input `image` is then uint8 N×H×W×C.

    Raises:
      ValidationError: the two do not make a valid model.
    """
    import onnx
    from onnx import compose

    from pipeline.graphs.stored import without_stored

    prefixed = compose.add_prefix(preprocess, "preprocess/")
    prefixed.ir_version = model.ir_version
    light, stored = without_stored(model)
    merged = compose.merge_models(prefixed, light, io_map=[("preprocess/image", "image")])
    # The name is free again: what was the model's input is now a value of the preprocessing.
    rename(merged, merged.graph.input[0].name, "image")
    onnx.checker.check_model(merged)
    for tensor in merged.graph.initializer:
        if tensor.name in stored:
            tensor.CopyFrom(stored[tensor.name])
    return merged


def _channels_first(pixels: Pixels) -> onnx.NodeProto:
    from onnx import helper

    if pixels.channels == 1:
        return helper.make_node("Reshape", ["pixels_float", "nchw_shape"], ["pixels_nchw"])
    return helper.make_node("Transpose", ["pixels_float"], ["pixels_nchw"], perm=[0, 3, 1, 2])


def _affine(channels: int, preprocessing: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    mean = np.array(preprocessing.mean, np.float64)
    std = np.array(preprocessing.std, np.float64)
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            raise UsageError(
                f"the preprocessing's {name} has {len(values)} values, the dataset's images have {channels} channels: "
                "give one value or one per channel"
            )
    factor = np.broadcast_to(preprocessing.scale / std, channels)
    offset = np.broadcast_to(-mean / std, channels)
    return factor.astype(np.float32), offset.astype(np.float32)
