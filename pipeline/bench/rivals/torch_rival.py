"""PyTorch, eager and compiled, with those of its options that make it fastest here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from device_runtime.timing import LEARNING_RATE, median_ms
from pipeline.bench.rivals.module import module_to_train
from pipeline.bench.rivals.task import ONNX_FILE, Step, Task, Unavailable
from pipeline.commands import run

if TYPE_CHECKING:
    import torch

CHOICE_S = 0.3
CHOICE_TIMEOUT_S = 600.0

_Loss = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class Way:
    """A way of torch to make the step: the images' memory format and the optimizer's implementation."""

    channels_last: bool
    fused: bool


def begin(threads: int) -> None:
    """Imports it, and computes a first gradient."""
    import torch

    torch.set_num_threads(threads)
    # Some processors take a hundred times as long for denormal numbers.
    torch.set_flush_denormal(True)
    one = torch.ones(1, requires_grad=True)
    torch.autograd.backward(one * one)


def eager_step(task: Task, threads: int) -> Step:
    """The step in the fastest way."""
    return _step(task, _fastest(task, threads))


def compiled_step(task: Task, threads: int) -> Step:
    """The step with torch.compile; compiling all ways would take minutes: the one that suits eager torch suits it."""
    import torch

    return _step(task, _fastest(task, threads), torch.compile)


def _fastest(task: Task, threads: int) -> Way:
    """Found by a process of its own, whose memory is not the rival's."""
    if task.source.onnx_file:
        raise Unavailable(ONNX_FILE)
    words = (sys.executable, "-m", "pipeline.bench.rivals.torch_rival", task.file, str(threads))
    return Way(**json.loads(run(words, timeout_s=CHOICE_TIMEOUT_S, env=dict(os.environ)).splitlines()[-1]))


def _choose(task: Task) -> Way:
    """The fastest of the ways that this torch has for the optimizer.

    Raises:
      Exception: none runs.
    """
    times: dict[Way, float] = {}
    errors: list[Exception] = []
    for way in (Way(channels_last, fused) for channels_last in (False, True) for fused in (False, True)):
        try:
            times[way] = median_ms(_step(task, way), CHOICE_S)
        # Not every optimizer is fused.
        except Exception as error:
            errors.append(error)
    if not times:
        raise errors[0]
    return min(times, key=times.__getitem__)


def _step(task: Task, way: Way, transform: Callable[[_Loss], _Loss] = lambda loss: loss) -> Step:
    """One update, as the recipe has it, in some way."""
    import torch

    from pipeline.capture.joint.loss import training_loss_of
    from pipeline.checking.torch_optimizer import torch_optimizer
    from pipeline.sources.model_source import own_loss_of

    recipe = task.recipe
    module = module_to_train(task)
    memory_format = torch.channels_last if way.channels_last else torch.contiguous_format
    module = module.to(memory_format=memory_format)  # type: ignore[call-overload]
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    further = {"fused": True} if way.fused else {}
    optimizer = torch_optimizer(recipe.optimizer, trained, LEARNING_RATE, **further)
    if optimizer is None:
        raise Unavailable(f"torch has no optimizer {recipe.optimizer.name}")
    image = torch.from_numpy(task.image()).contiguous(memory_format=memory_format)
    label, loss_of_output = (
        torch.from_numpy(task.label()),
        training_loss_of(recipe, task.target, own_loss_of(task.source, recipe)),
    )
    loss_of = transform(lambda image, label: loss_of_output(module(image), label))

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_of(image, label)
        torch.autograd.backward(loss)
        if recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(trained, recipe.clip_norm)
        optimizer.step()
        return float(loss.detach())

    return step


if __name__ == "__main__":
    begin(int(sys.argv[2]))
    print(json.dumps(asdict(_choose(Task.load(Path(sys.argv[1]))))))
