"""onnxruntime-training, on the artifacts that `--engine reference` runs."""

from __future__ import annotations

from device_runtime.timing import LEARNING_RATE
from pipeline.bench.rivals.task import Step, Task, Unavailable, missing


def begin(threads: int) -> None:
    """Imports it, and runs an all but empty session."""
    try:
        import onnxruntime.training.api  # noqa: F401
    except ImportError as error:
        raise missing("onnxruntime-training-cpu") from error
    from device_runtime.base_memory import base_memory_bytes

    base_memory_bytes()


def step(task: Task, threads: int) -> Step:
    """Its step."""
    from device_runtime.engines.reference import ReferenceEngine
    from device_runtime.formats.checkpoint import read_checkpoint, untrained_name
    from device_runtime.formats.model import read_model

    if task.lacks_reference:
        raise Unavailable(task.lacks_reference)
    folder = task.package / "model"
    model = read_model(folder)
    if task.recipe.clip_norm is not None:
        raise Unavailable("the bench does not clip its gradients: leave out the recipe's clip_norm")
    start = read_checkpoint(folder / untrained_name(model), model)
    engine = ReferenceEngine(task.reference, model, start, threads)
    image, label = task.image(), task.label()
    return lambda: engine.step_on_image(image, label, LEARNING_RATE)
