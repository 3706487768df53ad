"""The dataset's samples to the model's input, as an ONNX graph: the device feeds them raw, the runtime does the rest.

Writes preprocess.onnx: `pixels` uint8 N×H×W×C → `image` float32 N×C×H'×W'; of arrays `pixels` N×… → `image` N×…, in
float32, or in int64 where they are of int32 or int64: numbers of words or categories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from device_runtime.formats.sample import Sample
from pipeline.errors import UsageError
from pipeline.graphs.edits import rename
from pipeline.recipe import Preprocessing

if TYPE_CHECKING:
    import onnx


def is_whole(sample: Sample) -> bool:
    """Whether a model is given whole numbers."""
    return sample.dtype in ("int32", "int64")


def build_preprocessing(sample: Sample, preprocessing: Preprocessing, opset: int) -> onnx.ModelProto:
    """The graph that turns a batch of the dataset's samples into a batch of the model's inputs.

    Raises:
      UsageError: mean or std do not fit the number of channels.
    """
    from onnx import helper

    from pipeline.graphs.graph import IR_VERSION

    graph = _of_pictures(sample, preprocessing) if sample.is_picture else _of_arrays(sample)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)


def _of_arrays(sample: Sample) -> onnx.GraphProto:
    import onnx
    from onnx import TensorProto, helper

    given = helper.np_dtype_to_tensor_dtype(np.dtype(sample.dtype))
    taken = TensorProto.INT64 if is_whole(sample) else TensorProto.FLOAT
    node = helper.make_node("Cast", ["pixels"], ["image"], to=taken)
    shape: list[str | int | None] = ["N", *sample.shape]
    inputs = [helper.make_tensor_value_info("pixels", given, shape)]
    return onnx.helper.make_graph([node], "preprocess", inputs, [helper.make_tensor_value_info("image", taken, shape)])


def _of_pictures(sample: Sample, preprocessing: Preprocessing) -> onnx.GraphProto:
    import onnx
    from onnx import TensorProto, helper

    height, width, channels = sample.shape
    factor, offset = _affine(channels, preprocessing)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["pixels_float"], to=TensorProto.FLOAT),
        _channels_first(channels),
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
        "no_mean": np.zeros(channels, np.float32),
        "no_variance": np.ones(channels, np.float32),
    }
    initializers = [onnx.numpy_helper.from_array(values, name) for name, values in constants.items()]
    if channels == 1:
        shape = np.array([0, 1, height, width], np.int64)
        initializers.append(onnx.numpy_helper.from_array(shape, "nchw_shape"))
    if (height, width) != (preprocessing.height, preprocessing.width):
        # The affine map goes first, on the smaller tensor: bilinear weights sum to 1, so the two commute.
        scales = np.array([1, 1, preprocessing.height / height, preprocessing.width / width], np.float32)
        initializers.append(onnx.numpy_helper.from_array(scales, "resize_scales"))
        nodes.append(helper.make_node("Resize", ["pixels_normal", "", "resize_scales"], ["image"], mode="linear"))
    else:
        nodes[-1].output[0] = "image"
    return helper.make_graph(
        nodes,
        "preprocess",
        [
            helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", height, width, channels]),
        ],
        [
            helper.make_tensor_value_info(
                "image", TensorProto.FLOAT, ["N", channels, preprocessing.height, preprocessing.width]
            )
        ],
        initializers,
    )


def after_preprocessing(preprocess: onnx.ModelProto, model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` (`image` → …) with the preprocessing before it: its input `image` is then the dataset's sample.

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


def _channels_first(channels: int) -> onnx.NodeProto:
    from onnx import helper

    if channels == 1:
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
