"""Small modules that do what a forward graph cannot say; each function makes one, for images 3×8×8 and 4 classes."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, weight_norm

CLASSES = 4


class _Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 8, 3, padding=1)
        self.head = nn.Linear(8, CLASSES)

    def pooled(self, image: Tensor) -> Tensor:
        return functional.relu(self.second(functional.relu(self.first(image)))).mean((2, 3))


class _Offset(_Layers):
    def forward(self, image: Tensor) -> Any:
        hidden = self.pooled(image)
        if self.training:
            hidden = hidden * 1.5 + 0.25
        return self.head(hidden)


def training_alone() -> nn.Module:
    """A branch that only training takes."""
    return _Offset()


class _NoGrad(_Layers):
    def forward(self, image: Tensor) -> Any:
        with torch.no_grad():
            hidden = functional.relu(self.first(image))
        return self.head(functional.relu(self.second(hidden)).mean((2, 3)))


def no_grad() -> nn.Module:
    """A first layer under torch.no_grad()."""
    return _NoGrad()


class _Detached(_Layers):
    def __init__(self) -> None:
        super().__init__()
        self.side = nn.Linear(8, CLASSES)

    def forward(self, image: Tensor) -> Any:
        hidden = self.pooled(image)
        return self.head(hidden.detach()) + self.side(hidden)


def detached() -> nn.Module:
    """A head that does not train what is before it."""
    return _Detached()


class _Padded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(16, 8, padding_idx=0)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, image: Tensor) -> Any:
        tokens = (image[:, 0].flatten(1) * 15.99).long()
        return self.head(self.tokens(tokens).mean(1))


def padding_row() -> nn.Module:
    """An embedding whose padding row stays."""
    return _Padded()


class _Normed(_Layers):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        # Before a norm that takes the mean off, a bias has no gradient but rounding, which Adam makes steps of.
        self.first = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = norm

    def forward(self, image: Tensor) -> Any:
        hidden = functional.relu(self.norm(self.first(image)))
        return self.head(functional.relu(self.second(hidden)).mean((2, 3)))


def momentum_one() -> nn.Module:
    """Running statistics that are the last batch's."""
    return _Normed(nn.BatchNorm2d(6, momentum=1.0))


def momentum_none() -> nn.Module:
    """Running statistics that are the mean over all batches."""
    return _Normed(nn.BatchNorm2d(6, momentum=None))


def momentum_odd() -> nn.Module:
    """Running statistics with another momentum."""
    return _Normed(nn.BatchNorm2d(6, momentum=0.37, eps=1e-3))


def no_statistics() -> nn.Module:
    """Batch normalisation by the batch's statistics, always."""
    return _Normed(nn.BatchNorm2d(6, track_running_stats=False))


def instance_statistics() -> nn.Module:
    """Instance normalisation with running statistics."""
    return _Normed(nn.InstanceNorm2d(6, affine=True, track_running_stats=True))


def frozen_first_layer() -> nn.Module:
    """A frozen convolution and a batch norm that train() leaves in training mode."""
    network = _Normed(nn.BatchNorm2d(6))
    for part in (network.first, network.norm):
        part.requires_grad_(False)
    return network


class _KeptInEvaluation(_Normed):
    def train(self, mode: bool = True) -> _KeptInEvaluation:
        super().train(mode)
        self.norm.eval()
        return self


def kept_in_evaluation() -> nn.Module:
    """A batch norm that train() keeps in evaluation mode."""
    return _KeptInEvaluation(nn.BatchNorm2d(6))


class _Average(_Layers):
    average: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average", torch.zeros(8))

    def forward(self, image: Tensor) -> Any:
        hidden = self.pooled(image)
        if self.training:
            with torch.no_grad():
                self.average.mul_(0.8).add_(0.2 * hidden.mean(0))
        return self.head(hidden - self.average)


def renewed_buffer() -> nn.Module:
    """A moving average that forward renews."""
    return _Average()


class _OwnStatistics(_Layers):
    running_mean: Tensor
    running_var: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.linspace(-0.1, 0.1, 6))
        self.register_buffer("running_var", torch.linspace(0.5, 1.5, 6))

    def forward(self, image: Tensor) -> Any:
        hidden = self.first(image)
        mean, variance = self.running_mean[:, None, None], self.running_var[:, None, None]
        hidden = functional.relu((hidden - mean) / (variance + 1e-5).sqrt())
        return self.head(functional.relu(self.second(hidden)).mean((2, 3)))


def own_statistics() -> nn.Module:
    """Buffers with the names of batch norm's, which stay."""
    return _OwnStatistics()


class _Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x * 4) / 4

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return -0.5 * gradient


class _Through(_Layers):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, image: Tensor) -> Any:
        return self.head(self.function.apply(self.pooled(image)))


def straight_through() -> nn.Module:
    """Rounding whose gradient passes."""
    return _Through(_Straight)


def gradient_reversal() -> nn.Module:
    """The identity with another gradient."""
    return _Through(_Reversed)


class _Black(nn.Module):
    def __init__(self, bound: nn.Module) -> None:
        super().__init__()
        self.first, self.bound, self.head = nn.Conv2d(3, 6, 3, padding=1), bound, nn.Linear(6, CLASSES)
        assert self.first.bias is not None
        nn.init.zeros_(self.first.bias)

    def forward(self, image: Tensor) -> Any:
        return self.head(self.bound(self.first(functional.relu(image - 0.5))).mean((2, 3)))


def relu6_at_zero() -> nn.Module:
    """ReLU6 of exact zeros."""
    return _Black(nn.ReLU6())


def hardtanh_at_a_bound() -> nn.Module:
    """Hardtanh of exact zeros, one of its bounds."""
    return _Black(nn.Hardtanh(0.0, 1.0))


class _Scaled(_Layers):
    def __init__(self) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(1.3))

    def forward(self, image: Tensor) -> Any:
        return self.head(self.pooled(image)) * self.logit_scale.exp()


def scalar_parameter() -> nn.Module:
    """A parameter without an axis."""
    return _Scaled()


class _Unused(_Layers):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(3, 3)

    def forward(self, image: Tensor) -> Any:
        return self.head(self.pooled(image))


def unused_parameter() -> nn.Module:
    """A layer that the loss does not reach."""
    return _Unused()


class _Outputs(_Layers):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.side = kind, nn.Linear(8, 2)

    def forward(self, image: Tensor) -> Any:
        hidden = self.pooled(image)
        logits, side = self.head(hidden), self.side(hidden)
        return {"side": side, "logits": logits} if self.kind == "dictionary" else (logits, side)


def two_outputs() -> nn.Module:
    """Logits and an auxiliary output in a tuple."""
    return _Outputs("tuple")


def dictionary() -> nn.Module:
    """Logits by name."""
    return _Outputs("dictionary")


class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(192, 192), nn.Linear(192, 192)
        self.second.weight = self.first.weight
        self.head = nn.Linear(192, CLASSES)

    def forward(self, image: Tensor) -> Any:
        return self.head(torch.tanh(self.second(torch.tanh(self.first(image.flatten(1))))))


def tied_weights() -> nn.Module:
    """Two layers with one weight."""
    return _Tied()


def old_weight_norm() -> nn.Module:
    """torch.nn.utils.weight_norm."""
    network = _Unnormed()
    weight_norm(network.second)
    return network


def new_weight_norm() -> nn.Module:
    """torch.nn.utils.parametrizations.weight_norm."""
    network = _Unnormed()
    parametrizations.weight_norm(network.second)
    return network


def spectral_norm() -> nn.Module:
    """torch.nn.utils.parametrizations.spectral_norm: a power iteration in each forward pass of training."""
    network = _Unnormed()
    parametrizations.spectral_norm(network.second)
    return network


class _Unnormed(_Layers):
    def forward(self, image: Tensor) -> Any:
        return self.head(self.pooled(image))


def group_norm() -> nn.Module:
    """Group normalisation."""
    return _Normed(nn.GroupNorm(2, 6))


class _Reflected(_Layers):
    def forward(self, image: Tensor) -> Any:
        size = (image.shape[2] + 2, image.shape[3] + 2)
        larger = functional.interpolate(image, size, mode="bilinear", align_corners=False)
        hidden = functional.relu(self.first(functional.pad(larger, (1, 2, 2, 1), mode="reflect")))
        return self.head(functional.relu(self.second(hidden)).mean((2, 3)))


def reflection() -> nn.Module:
    """Padding by reflection of an image whose size is computed."""
    return _Reflected()


def names() -> list[str]:
    """The functions of this file that make a module."""
    made = {name: value for name, value in globals().items() if not name.startswith("_") and inspect.isfunction(value)}
    own = [name for name, value in made.items() if value.__module__ == __name__]
    return [name for name in own if inspect.signature(made[name]).return_annotation == "nn.Module"]
