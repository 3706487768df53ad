"""Weights that are computed: normed, parametrized, standardised, low-rank, shared."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize

from tests.sweep.case import CLASSES, Case, layer


class Normed(nn.Module):
    """Two layers of which a hook or a parametrization computes the weights.

    Args:
      norm: takes a layer and returns it.
    """

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.conv, self.fc = norm(nn.Conv2d(3, 6, 3)), norm(nn.Linear(6, 8))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x = functional.leaky_relu(self.conv(x), 0.1)
        return self.head(functional.leaky_relu(self.fc(torch.sum(x, dim=(2, 3)) / 36), 0.1))


def whole_norm(layer: nn.Module) -> nn.Module:
    return nn.utils.weight_norm(layer, dim=None)  # type: ignore[arg-type]


class SkewSymmetric(nn.Module):
    """Of torch's tutorial on parametrizations."""

    def forward(self, x: Tensor) -> Any:
        a = x.triu(1)
        return a - a.transpose(-1, -2)

    def right_inverse(self, a: Tensor) -> Tensor:
        return a.triu(1)


class CayleyMap(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.register_buffer("Id", torch.eye(n))

    def forward(self, x: Tensor) -> Any:
        identity = self.get_buffer("Id")
        return torch.linalg.solve(identity - x, identity + x)


class Symmetric(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return x.triu() + x.triu(1).transpose(-1, -2)


class Positive(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return functional.softplus(x)


def parametrized(module: nn.Module, *maps: nn.Module) -> nn.Module:
    for each in maps:
        parametrize.register_parametrization(module, "weight", each)
    return module


class StandardisedConv(nn.Conv2d):
    """timm's StdConv2d (BiT): the weight normed by batch_norm, a filter for each channel."""

    def forward(self, x: Tensor) -> Any:
        shape = (1, self.out_channels, -1)
        weight = functional.batch_norm(self.weight.reshape(shape), None, None, training=True, momentum=0.0, eps=1e-6)
        return functional.conv2d(x, weight.reshape_as(self.weight), self.bias, self.stride, self.padding)


class ScaledStandardisedConv(nn.Conv2d):
    """timm's ScaledStdConv2d (NF-ResNet): the same with a gain for each filter."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel)
        self.gain = nn.Parameter(torch.full((self.out_channels, 1, 1, 1), 1.2))
        self.scale = self.weight[0].numel() ** -0.5

    def forward(self, x: Tensor) -> Any:
        flat, gain = self.weight.reshape(1, self.out_channels, -1), (self.gain * self.scale).view(-1)
        weight = functional.batch_norm(flat, None, None, weight=gain, training=True, momentum=0.0, eps=1e-6)
        return functional.conv2d(x, weight.reshape_as(self.weight), self.bias, self.stride, self.padding)


class MeanStandardisedConv(nn.Conv2d):
    """The same as the paper has it, by mean and std."""

    def forward(self, x: Tensor) -> Any:
        weight = self.weight
        weight = weight - weight.mean(dim=1, keepdim=True).mean(dim=2, keepdim=True).mean(dim=3, keepdim=True)
        std = weight.view(weight.size(0), -1).std(dim=1).view(-1, 1, 1, 1) + 1e-5
        return functional.conv2d(x, weight / std.expand_as(weight), self.bias, self.stride, self.padding)


class LoraLinear(nn.Linear):
    """A frozen layer and a trained product of low rank."""

    def __init__(self, inputs: int, outputs: int, r: int = 2, alpha: int = 4) -> None:
        super().__init__(inputs, outputs)
        self.weight.requires_grad_(False)
        self.lora_a, self.lora_b = nn.Parameter(torch.empty(r, inputs)), nn.Parameter(torch.zeros(outputs, r))
        self.scaling, self.lora_dropout = alpha / r, nn.Dropout(p=0.1)
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Any:
        result = functional.linear(x, self.weight, bias=self.bias)
        result += (self.lora_dropout(x) @ self.lora_a.transpose(0, 1) @ self.lora_b.transpose(0, 1)) * self.scaling
        return result


class Adapter(nn.Module):
    """A frozen layer within, an adapter behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Sequential(nn.Linear(10, 10), nn.LayerNorm(10)).requires_grad_(False)
        self.down, self.up = nn.Linear(10, 3), nn.Linear(3, 10)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Any:
        x = self.frozen(x)
        return x + self.up(functional.gelu(self.down(x)))


def bit_fit() -> nn.Module:
    """Biases train, and the head."""
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Flatten())
    for name, param in network.named_parameters():
        if "bias" not in name:
            param.requires_grad = False
    return nn.Sequential(network, nn.Linear(8 * 16, CLASSES))


class MomentumEncoder(nn.Module):
    """The weights of another encoder follow in buffers; forward renews them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = nn.Linear(192, 8), nn.Linear(16, CLASSES)
        self.register_buffer("ema_weight", self.encoder.weight.detach().clone())
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def _momentum_update(self) -> None:
        m = 0.9
        self.get_buffer("ema_weight").mul_(m).add_(self.encoder.weight, alpha=1 - m)
        self.get_buffer("steps").add_(1)

    def forward(self, x: Tensor) -> Any:
        x = x.flatten(1)
        if self.training:
            self._momentum_update()
        with torch.no_grad():
            target = torch.tanh(x @ self.get_buffer("ema_weight").t())
        return self.head(torch.cat([torch.tanh(self.encoder(x)), target], 1))


class FrozenTeacher(nn.Module):
    """A copy of a part that no optimizer sees, and the part, in one."""

    def __init__(self) -> None:
        super().__init__()
        self.student = nn.Sequential(nn.Linear(192, 8), nn.Tanh())
        self.teacher = copy.deepcopy(self.student)
        for p in self.teacher.parameters():
            p.requires_grad = False
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x = x.flatten(1)
        return self.fc(self.student(x) - 0.5 * self.teacher(x).detach())


class TiedAutoencoder(nn.Module):
    """The transposed weight decodes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.bias = nn.Linear(192, 10), nn.Parameter(torch.zeros(192))
        self.classifier = nn.Linear(202, CLASSES)

    def forward(self, x: Tensor) -> Any:
        z = torch.sigmoid(self.encoder(x.flatten(1)))
        decoded = functional.linear(z, self.encoder.weight.t(), self.bias)
        return self.classifier(torch.cat([z, torch.tanh(decoded)], 1))


class SharedBlocks(nn.Module):
    """ALBERT's: one layer many times; and deepcopied ones."""

    def __init__(self) -> None:
        super().__init__()
        one = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
        self.shared = nn.ModuleList([one] * 3)
        self.copies = nn.ModuleList(copy.deepcopy(one) for _ in range(2))

    def forward(self, x: Tensor) -> Any:
        for block in [*self.shared, *self.copies]:
            x = x + block(x)
        return x


class Masked(nn.Linear):
    """Lottery tickets: a mask in a buffer."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.register_buffer("mask", (torch.rand(outputs, inputs) > 0.5).float())

    def forward(self, x: Tensor) -> Any:
        return functional.linear(x, self.weight * self.get_buffer("mask"), self.bias)


def pruned() -> nn.Module:
    """By torch.nn.utils.prune."""
    from torch.nn.utils import prune

    network = nn.Linear(10, 8)
    prune.l1_unstructured(network, name="weight", amount=0.3)  # type: ignore[no-untyped-call]
    return network


class Tucker(nn.Module):
    """A filter as a product of a core and factors."""

    def __init__(self) -> None:
        super().__init__()
        self.core, self.u = nn.Parameter(torch.randn(2, 2, 3, 3) * 0.4), nn.Parameter(torch.randn(5, 2))
        self.v = nn.Parameter(torch.randn(4, 2))

    def forward(self, x: Tensor) -> Any:
        return functional.conv2d(x, torch.einsum("or,rshw,is->oihw", self.u, self.core, self.v))


class Fourier(nn.Module):
    """Random Fourier features, their matrix no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("b", torch.randn(10, 6))

    def forward(self, x: Tensor) -> Any:
        projected = (2.0 * torch.pi * x) @ self.get_buffer("b")
        return torch.cat([torch.sin(projected), torch.cos(projected)], dim=-1)


WEIGHTS: dict[str, Case] = {
    "spectral_norm": Case(lambda: Normed(parametrizations.spectral_norm)),
    "spectral_norm, the old one": Case(lambda: Normed(nn.utils.spectral_norm)),
    "spectral_norm, several iterations": Case(lambda: Normed(lambda m: nn.utils.spectral_norm(m, "weight", 3))),
    "weight_norm": Case(lambda: Normed(parametrizations.weight_norm)),
    "weight_norm, the old one, of the whole": Case(lambda: Normed(whole_norm)),
    "orthogonal, by Householder": layer(
        lambda: parametrizations.orthogonal(nn.Linear(6, 6), orthogonal_map="householder"), 6
    ),
    "orthogonal, of filters": layer(lambda: parametrizations.orthogonal(nn.Conv2d(3, 5, 3)), 3, 6, 6),
    "orthogonal, by Cayley": layer(lambda: parametrizations.orthogonal(nn.Linear(6, 6), orthogonal_map="cayley"), 6),
    "orthogonal, by an exponential": layer(
        lambda: parametrizations.orthogonal(nn.Linear(6, 6), orthogonal_map="matrix_exp"), 6
    ),
    "parametrization, skew": layer(lambda: parametrized(nn.Linear(6, 6), SkewSymmetric()), 6),
    "parametrization, skew and Cayley's map": layer(
        lambda: parametrized(nn.Linear(6, 6), SkewSymmetric(), CayleyMap(6)), 6
    ),
    "parametrization, symmetric and positive": layer(lambda: parametrized(nn.Linear(6, 6), Symmetric(), Positive()), 6),
    "standardised weights, by batch_norm (BiT)": layer(lambda: StandardisedConv(3, 5, 3), 3, 6, 6),
    "standardised weights, scaled (NF-ResNet)": layer(lambda: ScaledStandardisedConv(3, 5, 3), 3, 6, 6),
    "standardised weights, by std": layer(lambda: MeanStandardisedConv(3, 5, 3), 3, 6, 6),
    "LoRA": layer(lambda: LoraLinear(10, 8), 10),
    "adapter": layer(Adapter, 10),
    "BitFit": Case(bit_fit),
    "momentum encoder": Case(MomentumEncoder),
    "frozen teacher": Case(FrozenTeacher),
    "tied autoencoder": Case(TiedAutoencoder),
    "shared and copied layers": layer(SharedBlocks, 8),
    "masked weights": layer(lambda: Masked(10, 8), 10),
    "pruned": layer(pruned, 10),
    "Tucker's factors": layer(Tucker, 4, 6, 6),
    "Fourier features": layer(Fourier, 10),
}
