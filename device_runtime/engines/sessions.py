"""Sessions of the stock ONNX Runtime, and what is bound to them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from device_runtime.engines.base import Vector
from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import Model, by_name
from device_runtime.formats.steps import BUFFER, EXACT_INT8, PARAMETER


def session_options(threads: int) -> ort.SessionOptions:
    """Options of every session: `threads` threads that sleep between runs, memory from one arena, warnings silent."""
    _make_arena()
    options = ort.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Or a value's memory would wait from its end for one of the same size, as long as that may take.
    options.enable_mem_reuse = False
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # They would look for work for tens of milliseconds, in the way of the next session's threads.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry(*EXACT_INT8)
    options.log_severity_level = 3
    return options


@cache
def _make_arena() -> None:
    """Memory that all sessions take from and give back to; one of its own would keep what it no longer needs."""
    kind = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(kind, None)


def shrinking() -> ort.RunOptions:
    """Options of a run that gives back to the system what its end leaves unused of the arena."""
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
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


def bind_state(binding: ort.IOBinding, model: Model, parameters: Vector, buffers: Vector) -> None:
    """Has a step read each parameter and each buffer of flat vectors where it lies."""
    for kind, vector, tensors in ((PARAMETER, parameters, model.parameters), (BUFFER, buffers, model.buffers)):
        for name, tensor in by_name(vector, tensors).items():
            bind_input(binding, f"{kind}{name}", tensor)


def bind_batch(
    binding: ort.IOBinding, model: Model, inputs: npt.NDArray[Any], label: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Has a step read a batch; returns what the caller holds until the run is over."""
    inputs, label = np.ascontiguousarray(inputs), np.ascontiguousarray(label)
    bind_input(binding, model.batch_input, inputs)
    bind_input(binding, "label", label)
    return inputs, label


def bind_input(binding: ort.IOBinding, name: str, array: npt.NDArray[Any]) -> None:
    """Has a session read an array where it lies; the binding keeps the address alone: the array has to outlive it."""
    binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)


def bind_output(binding: ort.IOBinding, name: str, array: npt.NDArray[Any]) -> None:
    """Has a session write into an array, which has to outlive the binding."""
    binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
