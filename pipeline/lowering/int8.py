"""A frozen backbone in int8, by onnxruntime's static quantisation.

Reads the model folder and the dataset; writes a copy of the model folder in which features.onnx is quantised, and
int8.json, which says how far its features are from those in float32.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from device_runtime.formats.dataset import Split, load_dataset
from device_runtime.formats.model import read_model
from pipeline.errors import ModelError, UsageError, in_one_line
from pipeline.files import new_folder, read_record, write_record

if TYPE_CHECKING:
    import onnx

FEATURES_FILE, RECORD = "features.onnx", "int8.json"

# Images whose values give the ranges of activations, and as many others on which the features are compared.
CALIBRATION_IMAGES = 64
BATCH = 16

# Of the operators that the runtime computes in int8, those that carry the values of an image.
OPERATORS = (
    *("Conv", "Gemm", "MatMul", "Add", "Mul", "Concat", "Clip", "Relu", "LeakyRelu", "Sigmoid", "Softmax"),
    *("AveragePool", "GlobalAveragePool", "MaxPool", "Reshape", "Transpose"),
)

# A channel's bias is kept in units of its weights' and its input's scale, in 32 bits: where all weights of a channel
# are smaller than this beside the bias, which folded batch normalisation leaves where a channel died, it does not fit.
_SMALLEST_SHARE = 1e-4

Samples = npt.NDArray[Any]


@dataclass(frozen=True)
class Quantised:
    """How far the quantised features are from those in float32: L2 norm of the difference / L2 norm, over `images`."""

    difference: float
    images: int


def quantise_backbone(model_folder: Path, dataset: Path, folder: Path) -> None:
    """Writes `folder`, which appears whole or not at all.

    Weights are int8 for each output channel, activations uint8; what they range over is the least and largest value
    of training images, evenly taken from all classes.

    Raises:
      UsageError: no frozen backbone stands before what trains.
      ModelError: onnxruntime cannot quantise it.
    """
    if read_model(model_folder).features is None:
        raise UsageError(
            "--frozen-dtype int8 quantises a frozen backbone that stands before all that trains, and this model has "
            "none: freeze its first layers by --trainable, or give float16"
        )
    images = load_dataset(dataset).splits["train"]
    order = np.unique(np.linspace(0, len(images) - 1, min(2 * CALIBRATION_IMAGES, len(images))).astype(np.int64))
    # Images are sorted by class: every second one has all of them.
    calibration, comparison = order[::2], order[1::2] if len(order) > 1 else order
    with new_folder(folder) as temporary:
        shutil.copytree(model_folder, temporary, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        _quantise(model_folder / FEATURES_FILE, images, calibration, temporary / FEATURES_FILE)
        files = [part / FEATURES_FILE for part in (model_folder, temporary)]
        whole, quantised = (_features(file, images, comparison) for file in files)
        difference = float(np.linalg.norm(quantised - whole) / np.linalg.norm(whole))
        write_record(temporary / RECORD, Quantised(difference, len(comparison)))


def line_of(folder: Path) -> str:
    """What was measured of what `quantise_backbone` wrote, for a person."""
    found = read_record(folder / RECORD, Quantised)
    assert found is not None
    return f"int8 backbone: its features differ from float32's by {found.difference:.1%} ({found.images} images)"


def _quantise(file: Path, images: Split, indices: npt.NDArray[np.int64], quantised: Path) -> None:
    """Quantises a model of `image`, uint8 N×H×W×C."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Gives the images of these indices, batch by batch."""

        def __init__(self) -> None:
            self._batches = _batches(images, indices)

        def get_next(self) -> dict[str, Samples] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"image": batch}

    with tempfile.TemporaryDirectory(prefix=".int8.", dir=quantised.parent) as name:
        folded = Path(name) / "folded.onnx"
        level = logging.root.level
        try:
            # It advises to do what is done here.
            logging.root.setLevel(logging.ERROR)
            # Padding and batch normalisation become part of their convolutions.
            quant_pre_process(str(file), str(folded), skip_symbolic_shape=True)
            model = onnx.load(folded)
            _plain(model)
            _lift_dead_channels(model)
            onnx.save(model, folded)
            quantize_static(
                str(folded),
                str(quantised),
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                nodes_to_exclude=_with_weights_first(model),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        # onnxruntime's exceptions have no base class of their own.
        except Exception as error:
            raise ModelError(
                f"onnxruntime cannot quantise the frozen backbone ({in_one_line(error)}): give --frozen-dtype float16"
            ) from error
        finally:
            logging.root.setLevel(level)


def _plain(model: onnx.ModelProto) -> None:
    """Leaves the standard's opset alone: onnxruntime names all that it knows, this one twice, and trips over it."""
    [opset] = {entry.version for entry in model.opset_import if entry.domain == ""}
    del model.opset_import[:]
    model.opset_import.add(domain="", version=opset)


def _with_weights_first(model: onnx.ModelProto) -> list[str]:
    """Names of products whose first factor is constant: with scales for each channel, the runtime has none in int8."""
    constant = {tensor.name for tensor in model.graph.initializer}
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and node.input[0] in constant]


def _lift_dead_channels(model: onnx.ModelProto) -> None:
    """Gives every output channel of a convolution one weight that its bias can be counted in."""
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Conv" and len(node.input) > 2 and all(name in tensors for name in node.input[1:]):
            weights, bias = (numpy_helper.to_array(tensors[name]).copy() for name in node.input[1:])
            rows, least = weights.reshape(len(weights), -1), _SMALLEST_SHARE * np.abs(bias)
            rows[:, 0] = np.where(np.abs(rows).max(axis=1) < least, least, rows[:, 0])
            tensors[node.input[1]].CopyFrom(numpy_helper.from_array(weights, node.input[1]))


def _features(file: Path, images: Split, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    from pipeline.graphs.sessions import open_session

    session = open_session(file)
    return np.concatenate([session.run(["features"], {"image": batch})[0] for batch in _batches(images, indices)])


def _batches(images: Split, indices: npt.NDArray[np.int64]) -> Iterator[Samples]:
    return (images.batch(indices[start : start + BATCH])[0] for start in range(0, len(indices), BATCH))
