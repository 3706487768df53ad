"""What torch computes: the module that was exported, in its own words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipeline.capture.joint.loss import auxiliary_of, logits_of
from pipeline.capture.joint.selection import for_training
from pipeline.capture.state import FILE_NAME
from pipeline.checking.calm import calmed
from pipeline.checking.kept import Kept
from pipeline.checking.learning import Learning
from pipeline.checking.observed import Array, Batch, Evaluation, Step, nudged
from pipeline.checking.side_effects import refusing_side_effects
from pipeline.errors import ModelError, in_one_line

# Called with a module's path and what it gives, in the order in which modules end.
OnOutput = Callable[[str, Tensor], None]


def _in_type(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Numbers of a module in a type of floats, complex ones in that of pairs of it; its short ones stay."""
    if tensor.is_complex():
        return tensor.to(dtype.to_complex())
    return tensor.to(dtype) if tensor.dtype in (torch.float32, torch.float64) else tensor


class TorchSide:
    """A copy of a module with its initial weights; its buffers move from step to step, what trains when it is nudged.

    Attributes:
      module: the copy.
      counters: the numbers of batches that batch normalisation counts, by name: no graph needs them.
    """

    def __init__(self, module: nn.Module, export: Path, learning: Learning, dtype: torch.dtype) -> None:
        """`export` is the export's folder, which has the initial weights."""
        self._recipe, self._target, self._own_loss = learning.recipe, learning.target, learning.own_loss
        recipe = self._recipe
        self._dtype = dtype
        self.module, self._held = for_training(module, recipe.trainable)
        self.module.load_state_dict(load_file(export / FILE_NAME), strict=False)
        # Module.to would leave of complex numbers their real parts.
        self.module._apply(lambda tensor: _in_type(tensor, dtype))  # type: ignore[no-untyped-call]
        layers = [(n, m) for n, m in self.module.named_modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
        self.counters = {f"{name}.num_batches_tracked".removeprefix(".") for name, _ in layers}
        self._received = _Received(export)
        for name, parameter in self.module.named_parameters():
            if parameter.requires_grad:
                # Of the tensor, which torch leaves untyped.
                parameter.register_post_accumulate_grad_hook(self._received.keeping(name))  # type: ignore[no-untyped-call]

    def evaluate(self, batch: Batch, on_output: OnOutput | None = None) -> Evaluation:
        """Logits and loss of `module.eval()`."""
        self.module.eval()
        with calmed(), torch.no_grad(), _observing(self.module, on_output), refusing_side_effects(self.module):
            output = self._output(batch)
            return Evaluation(_array(logits_of(output)), _array(self._loss_of(output, batch)))

    def step(self, batch: Batch, on_output: OnOutput | None = None) -> Step:
        """Loss, gradients and new buffers of `module.train()`; a parameter that gets no gradient has none in it.

        Raises:
          ModelError: the module fails in training, or nothing of it trains.
        """
        self.module.train()
        for layer in self._held:
            layer.training = False
        self._received.begin()
        # Attention in products, of whose gradients there are gradients.
        products = sdpa_kernel(SDPBackend.MATH)
        with calmed(), products, _observing(self.module, on_output), refusing_side_effects(self.module):
            output = self._output(batch)
            loss = self._loss_of(output, batch)
            for name, weight in self._recipe.auxiliary.items():
                loss = loss + weight * self._loss(auxiliary_of(output, name), batch)
            if loss.requires_grad:
                torch.autograd.backward(loss)
        names = frozenset(name for name, _ in self.module.named_parameters())
        return Step(_array(loss), names, self._received.gradients, self.buffers())

    def nudge(self) -> None:
        """Moves what the last step gave a gradient: what the loss does not reach stays."""
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                if name in self._received.gradients:
                    parameter.copy_(torch.from_numpy(nudged(name, parameter.detach().float().numpy())))

    @property
    def backward_order(self) -> Sequence[str]:
        """Names of the parameters in the order in which the last step gave them a gradient."""
        return list(self._received.gradients)

    def buffers(self) -> dict[str, Array]:
        """Every buffer as it is now, by name."""
        return {name: _array(buffer) for name, buffer in self.module.named_buffers(remove_duplicate=False)}

    def _output(self, batch: Batch) -> Any:
        try:
            return self.module(_in_type(torch.from_numpy(batch.image), self._dtype))
        except Exception as error:
            raise ModelError(f"the model fails on {len(batch.label)} images: {in_one_line(error)}") from error

    def _loss_of(self, output: Any, batch: Batch) -> Tensor:
        """The model's own, or that of the logits."""
        if self._own_loss is None:
            return self._loss(logits_of(output), batch)
        loss: Tensor = self._own_loss(output, self._label(batch))
        return loss

    def _label(self, batch: Batch) -> Tensor:
        return _in_type(torch.from_numpy(batch.label), self._dtype)

    def _loss(self, logits: Tensor, batch: Batch) -> Tensor:
        label, recipe = self._label(batch), self._recipe
        weights = torch.tensor(recipe.class_weights, dtype=logits.dtype) if recipe.class_weights else None
        if recipe.loss == "cross_entropy":
            ignored = -100 if self._target.ignore is None else self._target.ignore
            loss = nn.CrossEntropyLoss(weights, ignore_index=ignored, label_smoothing=recipe.label_smoothing)
            return loss(logits, label)  # type: ignore[no-any-return]
        targets = functional.one_hot(label, logits.shape[1]).to(logits.dtype) if self._target.is_one_class else label
        losses: dict[str, nn.Module] = {
            "mean_squared_error": nn.MSELoss(),
            "mean_absolute_error": nn.L1Loss(),
            "huber": nn.HuberLoss(delta=recipe.huber_delta),
            "binary_cross_entropy": nn.BCEWithLogitsLoss(pos_weight=weights),
        }
        if recipe.loss == "cosine_embedding":
            return nn.CosineEmbeddingLoss()(logits, targets, torch.ones(len(label)))  # type: ignore[no-any-return]
        return losses[recipe.loss](logits, targets)  # type: ignore[no-any-return]


class _Received:
    """The gradients of a step, in the order in which they came; it knows nothing of who gives them.

    So a side ends, with all its weights, when nobody asks for it any more.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.gradients = Kept(folder)

    def begin(self) -> None:
        """A new step."""
        self.gradients = Kept(self._folder)

    def keeping(self, name: str) -> Callable[[Tensor], None]:
        """A hook that keeps a parameter's gradient as soon as it is there: never all of them are in memory."""

        def keep(parameter: Tensor) -> None:
            if parameter.grad is not None:
                # An embedding may give a sparse one.
                self.gradients.add(name, parameter.grad.to_dense().numpy())
                parameter.grad = None

        return keep


@contextmanager
def _observing(module: nn.Module, on_output: OnOutput | None) -> Iterator[None]:
    """In the block `on_output` is told what each module gives."""
    hooks = [p.register_forward_hook(_hook(name, on_output)) for name, p in module.named_modules()] if on_output else []
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hook(name: str, on_output: OnOutput) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, given: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            on_output(name, output.detach().clone())

    return hook


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().numpy().copy()
    return array
