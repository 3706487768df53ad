"""onnxruntime-training on the artifacts that the lowered graphs were made of; x86 host only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from device_runtime.engines.base import Batch, Vector
from device_runtime.engines.sessions import session_options
from device_runtime.formats.checkpoint import Checkpoint
from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import Model, by_name


class ReferenceEngine:
    """training_model.onnx, eval_model.onnx and optimizer_model.onnx through `onnxruntime.training.api`.

    Its optimizer state cannot be read back, so it starts from an untrained checkpoint or evaluates.
    """

    def __init__(self, folder: Path, model: Model, start: Checkpoint, threads: int) -> None:
        api = _import_api()
        if not (folder / "training_model.onnx").is_file():
            if model.features:
                raise FormatError(
                    f"{model.name} has no training artifacts, its frozen backbone stands before them: "
                    "use --engine lowered"
                )
            raise FormatError(
                "the package has no training artifacts, which are made where they are asked for: "
                "`invoke package --engine reference` makes it with them"
            )
        if not (folder / "optimizer_model.onnx").is_file():
            raise FormatError(
                f"onnxruntime-training has no optimizer {model.optimizer.name} with these options: use --engine lowered"
            )
        self._model = model
        self._buffers = start.buffers
        self._preprocess = ort.InferenceSession(
            str(folder / "preprocess.onnx"), session_options(threads), ["CPUExecutionProvider"]
        )
        self._state = api.CheckpointState.load_checkpoint(str(folder / "checkpoint"))
        self._module = api.Module(
            str(folder / "training_model.onnx"),
            self._state,
            str(folder / "eval_model.onnx"),
            device="cpu",
            session_options=session_options(threads),
        )
        # Parameters exist only once the module has been made: before it, reading or writing one crashes.
        self.restore(start.parameters, start.buffers, {})
        self._optimizer = api.Optimizer(str(folder / "optimizer_model.onnx"), self._module)

    def train_step(self, inputs: npt.NDArray[Any], label: npt.NDArray[Any], rate: float, step: int) -> float:
        """See `Engine`; `step` is counted by onnxruntime-training itself."""
        return self.step_on_image(self.preprocess(inputs), label, rate)

    def train_steps(self, batches: Sequence[Batch], rates: Sequence[float], first: int) -> list[float]:
        """See `Engine`: onnxruntime-training's optimizer is a graph of its own."""
        raise FormatError("--engine reference cannot take --sink-size: use --engine lowered")

    def train_batches(self, batches: Sequence[Batch], rate: float, step: int) -> float:
        """See `Engine`: onnxruntime-training adds gradients up and cannot divide the sum."""
        raise FormatError("--engine reference cannot take --accumulate: use --engine lowered")

    def gradient(self, batches: Sequence[Batch], step: int) -> tuple[float, Vector]:
        """See `Engine`: onnxruntime-training does not hand gradients out."""
        raise FormatError("--engine reference gives no gradients: use --engine lowered")

    def update(self, gradient: Vector, rate: float, step: int) -> None:
        """See `Engine`: onnxruntime-training takes no gradients."""
        raise FormatError("--engine reference takes no gradients: use --engine lowered")

    def step_on_image(self, image: Vector, label: npt.NDArray[Any], rate: float) -> float:
        """One update on preprocessed images, float32 N×C×H×W."""
        self._module.train()
        self._optimizer.set_learning_rate(rate)
        loss = float(self._module(image, label)[0])
        self._optimizer.step()
        self._module.lazy_reset_grad()
        return loss

    def evaluate(self, inputs: npt.NDArray[Any], label: npt.NDArray[Any]) -> tuple[float, Vector]:
        """See `Engine`."""
        self._module.eval()
        outputs = self._module(self.preprocess(inputs), label)
        return float(outputs[0]), np.asarray(outputs[1], np.float32)

    def restore(self, parameters: Vector, buffers: Vector, states: Mapping[str, Vector]) -> None:
        """See `Engine`: the parameters alone; its optimizer's state cannot be written."""
        for name, values in by_name(parameters, self._model.parameters).items():
            self._state.parameters[name].data = values

    def parameters(self) -> Vector:
        """See `Engine`."""
        pieces = [np.ravel(self._state.parameters[tensor.name].data) for tensor in self._model.parameters]
        return np.concatenate(pieces).astype(np.float32)

    def buffers(self) -> Vector:
        """See `Engine`: as they were, onnxruntime-training does not hand running statistics out."""
        return np.array(self._buffers)

    def states(self) -> Mapping[str, Vector]:
        """See `Engine`: nothing, onnxruntime-training does not hand its moments out."""
        return {}

    def preprocess(self, pixels: npt.NDArray[Any]) -> Vector:
        """Pixels, uint8 N×H×W×C, as the artifacts take them: float32 N×C×H×W."""
        image: Vector = self._preprocess.run(["image"], {"pixels": pixels})[0]
        return image


def _import_api() -> Any:
    try:
        from onnxruntime.training import api
    except ImportError as error:
        raise FormatError(
            "--engine reference needs onnxruntime-training, which has no build for this machine or is not installed: "
            "run it through `invoke train --target x86 --engine reference`"
        ) from error
    return api
