"""The lowered graphs in the stock ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from device_runtime.engines.base import Batch, Vector
from device_runtime.formats.checkpoint import Checkpoint
from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import Model


class LoweredEngine:
    """train_step.onnx and eval_step.onnx of a model folder.

    Each state has two buffers: a step reads one and writes the other, and the next step the other way round.
    """

    def __init__(self, folder: Path, model: Model, start: Checkpoint, batch_size: int, threads: int) -> None:
        self._model = model
        self._folder = folder
        self._threads = threads
        self._batch_size = batch_size
        self._input = "features" if model.features else "image"
        vectors: dict[str, Vector] = {"parameters": start.parameters}
        for name in model.optimizer.states:
            vectors[name] = start.states.get(name, np.zeros(model.parameters_size, np.float32))
        if model.buffers_size:
            vectors["buffers"] = start.buffers
        # Copies: what the runtime is given it writes over in the second step.
        self._front = {name: _value(vector.copy()) for name, vector in vectors.items()}
        self._back = {name: _value(np.zeros_like(vector)) for name, vector in vectors.items()}
        self._loss = _value(np.zeros((), np.float32))
        self._train: ort.InferenceSession | None = None
        # From the front to the back buffers, and the other way; None where others have come to the front.
        self._bindings: tuple[ort.IOBinding, ort.IOBinding] | None = None
        self._sink: ort.InferenceSession | None = None
        self._halves: tuple[ort.InferenceSession, ort.InferenceSession] | None = None
        self._eval: ort.InferenceSession | None = None

    def train_step(self, inputs: npt.NDArray[Any], label: npt.NDArray[np.int64], rate: float, step: int) -> float:
        """See `Engine`; the batch has to have the size that the engine was made for."""
        if self._train is None:
            self._train = self._open("train_step.onnx")
        session = self._train
        if self._bindings is None:
            self._bindings = self._bind(session, self._front, self._back), self._bind(session, self._back, self._front)
        binding, other = self._bindings
        # The binding keeps addresses only: what is bound has to live until the run is over.
        rate_value, step_value = np.array(rate, np.float32), np.array(step, np.int64)
        binding.bind_cpu_input(self._input, inputs)
        binding.bind_cpu_input("label", label)
        binding.bind_cpu_input("learning_rate", rate_value)
        binding.bind_cpu_input("step", step_value)
        session.run_with_iobinding(binding)
        self._bindings = other, binding
        self._front, self._back = self._back, self._front
        return float(self._loss.numpy())

    def train_steps(self, batches: Sequence[Batch], rates: Sequence[float], first: int) -> list[float]:
        """See `Engine`: the runtime itself loops over the updates."""
        if self._sink is None:
            self._sink = self._open("sink_step.onnx")
        inputs, labels = (np.stack(arrays) for arrays in zip(*batches, strict=True))
        feeds = {self._input: _value(inputs), "label": _value(labels), **self._front}
        feeds |= {"learning_rate": _value(np.array(rates, np.float32)), "step": _value(np.array(first, np.int64))}
        names = list(self._front)
        losses, *new = self._sink.run_with_ort_values(["loss", *(f"{name}_out" for name in names)], feeds)
        self._replace(dict(zip(names, new, strict=True)))
        return [float(loss) for loss in losses.numpy()]

    def train_batches(self, batches: Sequence[Batch], rate: float, step: int) -> float:
        """See `Engine`: each batch adds to one gradient, then one update."""
        if self._halves is None:
            self._halves = (self._open("gradient_step.onnx"), self._open("update_step.onnx"))
        gradients, update = self._halves
        buffers = ("buffers",) if self._model.buffers_size else ()
        gradient = _value(np.zeros(self._model.parameters_size, np.float32))
        losses: list[float] = []
        for number, (inputs, label) in enumerate(batches):
            feeds = {self._input: _value(inputs), "label": _value(label), "gradient": gradient}
            # A number of its own for each batch: with the update's, all would drop the same elements.
            feeds["step"] = _value(np.array(step * len(batches) + number, np.int64))
            feeds |= self._kept("parameters", *buffers)
            loss, gradient, *new = gradients.run_with_ort_values(
                ["loss", "gradient_out", *(f"{name}_out" for name in buffers)], feeds
            )
            losses.append(float(loss.numpy()))
            self._replace(dict(zip(buffers, new, strict=True)))
        names = ("parameters", *self._model.optimizer.states)
        feeds = {"gradient": gradient, "scale": _value(np.array(1 / len(batches), np.float32)), **self._kept(*names)}
        feeds |= {"learning_rate": _value(np.array(rate, np.float32)), "step": _value(np.array(step, np.int64))}
        new = update.run_with_ort_values([f"{name}_out" for name in names], feeds)
        self._replace(dict(zip(names, new, strict=True)))
        return sum(losses) / len(losses)

    def evaluate(self, inputs: npt.NDArray[Any], label: npt.NDArray[np.int64]) -> tuple[float, Vector]:
        """See `Engine`; batches may differ in size."""
        if self._eval is None:
            self._eval = open_session(self._folder / "eval_step.onnx", session_options(self._threads))
        feeds = {self._input: _value(inputs), "label": _value(label), "parameters": self._front["parameters"]}
        if self._model.buffers_size:
            feeds["buffers"] = self._front["buffers"]
        loss, logits = self._eval.run_with_ort_values(["loss", "logits"], feeds)
        return float(loss.numpy()), logits.numpy()

    def parameters(self) -> Vector:
        """See `Engine`."""
        return self._copy("parameters")

    def buffers(self) -> Vector:
        """See `Engine`."""
        return self._copy("buffers") if self._model.buffers_size else np.empty(0, np.float32)

    def states(self) -> Mapping[str, Vector]:
        """See `Engine`."""
        return {name: self._copy(name) for name in self._model.optimizer.states}

    def _kept(self, *names: str) -> dict[str, ort.OrtValue]:
        return {name: self._front[name] for name in names}

    def _copy(self, name: str) -> Vector:
        return np.array(self._front[name].numpy(), np.float32)

    def _replace(self, vectors: Mapping[str, ort.OrtValue]) -> None:
        """Brings states to the front that the train step's bindings do not know."""
        self._front.update(vectors)
        self._bindings = None

    def _open(self, name: str) -> ort.InferenceSession:
        options = session_options(self._threads)
        # A fixed batch lets the runtime fold every shape computation and plan its memory once.
        options.add_free_dimension_override_by_name("N", self._batch_size)
        return open_session(self._folder / name, options)

    def _bind(
        self, session: ort.InferenceSession, read: Mapping[str, ort.OrtValue], write: Mapping[str, ort.OrtValue]
    ) -> ort.IOBinding:
        binding = session.io_binding()
        binding.bind_ortvalue_output("loss", self._loss)
        for name in read:
            binding.bind_ortvalue_input(name, read[name])
            binding.bind_ortvalue_output(f"{name}_out", write[name])
        return binding


def session_options(threads: int) -> ort.SessionOptions:
    """Options of every session: `threads` threads that sleep when idle, warnings silent."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def open_session(file: Path, options: ort.SessionOptions) -> ort.InferenceSession:
    """A session on the CPU.

    Raises:
      FormatError: the file is missing, damaged or holds what this ONNX Runtime does not know.
    """
    if not file.is_file():
        raise FormatError(f"{file} does not exist: package the model again")
    try:
        return ort.InferenceSession(str(file), options, ["CPUExecutionProvider"])
    # ONNX Runtime's exceptions have no base class of their own.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FormatError(f"{file} cannot be opened ({reason}): package the model again") from error


def _value(array: npt.NDArray[Any]) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array).reshape(array.shape))
