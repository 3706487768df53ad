"""ExecuTorch's training extension: the joint graph as `torch.export` writes it, with ExecuTorch's portable kernels."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_runtime.bench import LEARNING_RATE
from pipeline.bench.rivals.module import module_to_train
from pipeline.bench.rivals.task import ONNX_FILE, Step, Task, Unavailable, missing
from pipeline.commands import run

if TYPE_CHECKING:
    import torch

EXPORT_TIMEOUT_S = 600.0


def begin(threads: int) -> None:
    """Imports it, and gives it its threads."""
    import torch

    try:
        from executorch.extension.pybindings import portable_lib
        from executorch.extension.training import get_sgd_optimizer
    except ImportError as error:
        raise missing("executorch") from error
    del get_sgd_optimizer
    portable_lib._unsafe_reset_threadpool(threads)
    # The optimizers that it lacks are torch's.
    torch.set_num_threads(threads)
    torch.ones(1).add_(1)


def step(task: Task, threads: int) -> Step:
    """The program's forward and backward pass; its own SGD, or torch's other optimizers on its parameters."""
    if task.source.onnx_file:
        raise Unavailable(ONNX_FILE)
    import torch
    from executorch.extension.training import _load_for_executorch_for_training, get_sgd_optimizer

    file = task.file.with_name("executorch.pte")
    # Exporting takes more memory than training.
    words = (sys.executable, "-m", "pipeline.bench.rivals.executorch_rival", task.file, file)
    run(words, timeout_s=EXPORT_TIMEOUT_S, env=dict(os.environ))
    program = _load_for_executorch_for_training(str(file))
    inputs = (torch.from_numpy(task.image()), torch.from_numpy(task.label()))
    # Its parameters can be asked for behind a first pass.
    program.forward_backward("forward", inputs)
    parameters: dict[str, torch.Tensor] = program.named_parameters()
    optimizer = task.recipe.optimizer
    if optimizer.name == "sgd":
        options = optimizer.values()
        names = ("momentum", "dampening", "weight_decay")
        own = get_sgd_optimizer(
            parameters, LEARNING_RATE, *(options[name] for name in names), bool(options["nesterov"])
        )
        update = own.step
    else:
        update = _torchs(task, parameters)

    def one() -> float:
        loss = program.forward_backward("forward", inputs)[0]
        update(program.named_gradients())
        return float(loss)

    return one


def _torchs(task: Task, parameters: dict[str, torch.Tensor]) -> Any:
    """An update of ExecuTorch's parameters by torch."""
    from pipeline.checking.torch_optimizer import torch_optimizer

    optimizer = torch_optimizer(task.recipe.optimizer, parameters.values(), LEARNING_RATE)
    if optimizer is None:
        raise Unavailable(f"torch has no optimizer {task.recipe.optimizer.name}")

    def update(gradients: dict[str, torch.Tensor]) -> None:
        for name, gradient in gradients.items():
            parameters[name].grad = gradient
        optimizer.step()

    return update


def _export(task: Task, file: Path) -> None:
    """Writes the program that trains the network: images and labels → loss, and the gradients of what trains."""
    import torch
    from executorch.exir import EdgeCompileConfig, to_edge
    from torch.export.experimental import _export_forward_backward

    from pipeline.capture.joint.loss import training_loss_of

    module, loss_of = module_to_train(task), training_loss_of(task.recipe, task.classes)

    class WithLoss(torch.nn.Module):
        """It differentiates the first output."""

        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return loss_of(self.module(image), label)

    inputs = (torch.from_numpy(task.image()), torch.from_numpy(task.label()))
    joint = _export_forward_backward(torch.export.export(WithLoss(), inputs, strict=False))
    program = to_edge(joint, compile_config=EdgeCompileConfig(_check_ir_validity=False)).to_executorch()
    with file.open("wb") as out:
        program.write_to_file(out)


if __name__ == "__main__":
    _export(Task.load(Path(sys.argv[1])), Path(sys.argv[2]))
