"""Inference models written by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper


def weights_of(shape: tuple[int, int, int], classes: int) -> npt.NDArray[np.float32]:
    """Numbers with which each pixel counts, so that a picture that is moved has other logits: classes×pixels."""
    drawn = np.random.default_rng(7).normal(size=(classes, math.prod(shape))) / 40 / math.sqrt(math.prod(shape))
    return drawn.astype(np.float32)


def write_linear_model(file: Path, shape: tuple[int, int, int], metadata: Mapping[str, str], classes: int = 2) -> None:
    """Logits that are sums of the pixels, each with its weight."""
    height, width, channels = shape
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["numbers"], ["flat"], axis=1),
            helper.make_node("Gemm", ["flat", "weights"], ["logits"], transB=1),
        ],
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, width, channels])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array(weights_of(shape, classes), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, file)
