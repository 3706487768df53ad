"""ExecuTorch's training extension: the joint graph as `torch.export` writes it, with ExecuTorch's portable kernels."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_runtime.timing import LEARNING_RATE
from pipeline.bench.rivals.module import module_to_train
from pipeline.bench.rivals.task import ONNX_FILE, Step, Task, Unavailable, missing
from pipeline.commands import run
from pipeline.errors import CommandError, in_one_line

if TYPE_CHECKING:
    import torch

EXPORT_TIMEOUT_S = 600.0

Tensors = dict[str, "torch.Tensor"]


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
    try:
        run(words, timeout_s=EXPORT_TIMEOUT_S, env=dict(os.environ))
    except CommandError as error:
        raise Unavailable(f"its export fails: {str(error).splitlines()[-1]}") from error
    model = _load_for_executorch_for_training(str(file)).model
    inputs = (torch.from_numpy(task.image()), torch.from_numpy(task.label()))
    names: list[str] = model.run_method("__et_training_fqn_forward", ())

    def passed() -> list[torch.Tensor]:
        """Loss, gradients and parameters, where they lie; its own division counts buffers that do not come out."""
        outputs: list[torch.Tensor] = model.run_method("forward", inputs, clone_outputs=False)
        return outputs

    parameters = dict(zip(names, passed()[1 + len(names) :], strict=True))
    update = _update(task, parameters, get_sgd_optimizer)

    def one() -> float:
        loss, *others = passed()
        update(dict(zip(names, others, strict=False)))
        return float(loss)

    return one


def _update(task: Task, parameters: Tensors, sgd: Callable[..., Any]) -> Callable[[Tensors], None]:
    """An update by gradients."""
    optimizer = task.recipe.optimizer
    if optimizer.name != "sgd":
        return _torchs(task, parameters)
    options = optimizer.values()
    names = ("momentum", "dampening", "weight_decay")
    own = sgd(parameters, LEARNING_RATE, *(options[name] for name in names), bool(options["nesterov"]))
    update: Callable[[Tensors], None] = own.step
    return update


def _torchs(task: Task, parameters: Tensors) -> Callable[[Tensors], None]:
    """An update of ExecuTorch's parameters by torch."""
    from pipeline.checking.torch_optimizer import torch_optimizer

    optimizer = torch_optimizer(task.recipe.optimizer, parameters.values(), LEARNING_RATE)
    if optimizer is None:
        raise Unavailable(f"torch has no optimizer {task.recipe.optimizer.name}")

    def update(gradients: Tensors) -> None:
        for name, gradient in gradients.items():
            parameters[name].grad = gradient
        optimizer.step()

    return update


def _export(task: Task, file: Path) -> None:
    """Writes the program that trains the network: images and labels → loss, and the gradients of what trains."""
    import torch
    from executorch.exir import EdgeCompileConfig, to_edge
    from executorch.extension.pybindings.portable_lib import _get_operator_names
    from torch._decomp import get_decompositions
    from torch.export.experimental import _export_forward_backward
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from pipeline.capture.joint.loss import training_loss_of
    from pipeline.sources.model_source import own_loss_of

    module, loss_of = (
        module_to_train(task),
        training_loss_of(task.recipe, task.target, own_loss_of(task.source, task.recipe)),
    )

    class WithLoss(torch.nn.Module):
        """It differentiates the first output."""

        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return loss_of(self.module(image), label)

    inputs = (torch.from_numpy(task.image()), torch.from_numpy(task.label()))
    with sdpa_kernel(SDPBackend.MATH):
        joint = _export_forward_backward(torch.export.export(WithLoss(), inputs, strict=False))
    aten = torch.ops.aten
    joint = joint.run_decompositions(
        get_decompositions([aten._native_batch_norm_legit_functional, aten.native_batch_norm_backward])
    )
    program = to_edge(joint, compile_config=EdgeCompileConfig(_check_ir_validity=False)).to_executorch()
    targets = {node.target for node in program.exported_program().graph.nodes if node.op == "call_function"}
    called = {str(target._name) for target in targets if isinstance(target, torch._ops.OpOverload)}
    # Running it would say no more than an error's number.
    if lacking := called - set(_get_operator_names()):
        raise Unavailable(f"ExecuTorch has no kernel of {', '.join(sorted(lacking))}")
    with file.open("wb") as out:
        program.write_to_file(out)


if __name__ == "__main__":
    try:
        _export(Task.load(Path(sys.argv[1])), Path(sys.argv[2]))
    except Exception as error:
        sys.exit(str(error) if isinstance(error, Unavailable) else in_one_line(error))
