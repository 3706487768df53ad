"""The torch module of a task, for the rivals that take one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.bench.rivals.task import ONNX_FILE, Task, Unavailable

if TYPE_CHECKING:
    import torch


def module_to_train(task: Task) -> torch.nn.Module:
    """The module itself, whose weights no copy holds a second time, as the recipe trains it.

    Raises:
      Unavailable: the model is none.
    """
    from pipeline.capture.joint.selection import held_modules, trainable_names
    from pipeline.sources.model_source import build_module

    if task.source.onnx_file:
        raise Unavailable(ONNX_FILE)
    module = build_module(task.source, task.target.count, task.seed).train()
    patterns = task.recipe.trainable
    held, names = held_modules(module, patterns), set(trainable_names(module, patterns))
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in names)
    for layer in held:
        layer.training = False
    return module
