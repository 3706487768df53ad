"""Rounding, signs and choices whose gradient passes: quantisation, binary networks, gates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.sweep.case import CLASSES, Case, layer


class RoundSte(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:
        return grad_output.clone()


class BinaryActivation(torch.autograd.Function):
    """sign, its gradient where |x| ≤ 1."""

    @staticmethod
    def forward(ctx: Any, input: Tensor) -> Tensor:
        ctx.save_for_backward(input)
        return torch.sign(input)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:
        (input,) = ctx.saved_tensors
        grad_input: Tensor = grad_output.clone()
        grad_input[input.ge(1)] = 0
        grad_input[input.le(-1)] = 0
        return grad_input


class Quantised(nn.Linear):
    """Weights to 4 bits by the detach trick."""

    def forward(self, x: Tensor) -> Any:
        scale = self.weight.detach().abs().max() / 7
        q = torch.clamp(torch.round(self.weight / scale), -8, 7) * scale
        return functional.linear(x, self.weight + (q - self.weight).detach(), self.bias)


class LearnedStep(nn.Module):
    """LSQ: the step is trained, its gradient scaled."""

    def __init__(self) -> None:
        super().__init__()
        self.s = nn.Parameter(torch.tensor(0.11))

    def forward(self, x: Tensor) -> Any:
        g = 1.0 / (x[0].numel() * 7) ** 0.5
        s = (self.s - self.s * g).detach() + self.s * g
        x = (x / s).clamp(-8, 7)
        x = (x.round() - x).detach() + x
        return x * s


class StraightThrough(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return RoundSte.apply(x * 7) / 7  # type: ignore[no-untyped-call]


class FakeQuantised(nn.Module):
    """torch's own, of a tensor and by channel of a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 10) * 0.3)
        self.register_buffer("scale", torch.full((5,), 0.02))
        self.register_buffer("zero_point", torch.zeros(5, dtype=torch.int32))

    def forward(self, x: Tensor) -> Any:
        x = torch.fake_quantize_per_tensor_affine(x, 0.02, 3, -128, 127)
        scale, zero = self.get_buffer("scale"), self.get_buffer("zero_point")
        return functional.linear(x, torch.fake_quantize_per_channel_affine(self.weight, scale, zero, 0, -128, 127))


class TensorScale(nn.Module):
    """torch's own with scale and zero point in buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(0.015))
        self.register_buffer("zero_point", torch.tensor(-5, dtype=torch.int32))

    def forward(self, x: Tensor) -> Any:
        scale, zero = self.get_buffer("scale"), self.get_buffer("zero_point")
        return torch.fake_quantize_per_tensor_affine(x, scale, zero, -64, 63)


class Observed(nn.Module):
    """QAT by hand: an observer's range in buffers, renewed in training."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("min_val", torch.tensor(-0.5))
        self.register_buffer("max_val", torch.tensor(0.5))
        self.fc = nn.Linear(10, 8)

    def forward(self, x: Tensor) -> Any:
        low, high = self.get_buffer("min_val"), self.get_buffer("max_val")
        if self.training:
            with torch.no_grad():
                low.copy_(0.9 * low + 0.1 * torch.min(x))
                high.copy_(0.9 * high + 0.1 * torch.max(x))
        scale = (high - low).clamp(min=1e-8) / 255
        zero_point = (-low / scale).round()
        q = (torch.clamp(RoundSte.apply(x / scale) + zero_point, 0, 255) - zero_point) * scale  # type: ignore[no-untyped-call]
        return self.fc(q)


def prepared() -> nn.Module:
    """By torch.ao.quantization in eager mode."""
    from torch.ao import quantization

    network = nn.Sequential(quantization.QuantStub(), nn.Conv2d(3, 4, 3), nn.ReLU(), quantization.DeQuantStub())
    network.qconfig = quantization.get_default_qat_qconfig("fbgemm")  # type: ignore[no-untyped-call]
    return quantization.prepare_qat(network.train())  # type: ignore[no-untyped-call, no-any-return]


class BinaryConv(nn.Conv2d):
    """XNOR-Net's: signs of weights with a factor for each filter, signs of activations."""

    def forward(self, x: Tensor) -> Any:
        alpha = self.weight.abs().mean(dim=(1, 2, 3), keepdim=True)
        clipped = torch.clamp(self.weight, -1.0, 1.0)
        binary = (alpha * torch.sign(self.weight)).detach() - clipped.detach() + clipped
        return functional.conv2d(BinaryActivation.apply(x), binary, self.bias)  # type: ignore[no-untyped-call]


class TernaryLinear(nn.Linear):
    """Weights −1, 0 and 1 by a threshold, and their mean."""

    def forward(self, x: Tensor) -> Any:
        w = self.weight
        delta = 0.7 * w.abs().mean(dim=1, keepdim=True)
        mask = (w.abs() > delta).float()
        alpha = (w.abs() * mask).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return functional.linear(x, w + (alpha * torch.sign(w) * mask - w).detach(), self.bias)


class BitLinear(nn.Linear):
    """BitNet b1.58's."""

    def forward(self, x: Tensor) -> Any:
        x = functional.layer_norm(x, x.shape[-1:])
        scale = 127.0 / x.abs().max(dim=-1, keepdim=True).values.clamp_(min=1e-5)
        x = x + ((x * scale).round().clamp_(-128, 127) / scale - x).detach()
        unit = 1.0 / self.weight.abs().mean().clamp_(min=1e-5)
        w = self.weight + ((self.weight * unit).round().clamp_(-1, 1) / unit - self.weight).detach()
        return functional.linear(x, w)


class VectorQuantiser(nn.Module):
    """VQ-VAE's: the nearest of a table, its gradient passed on."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.embedding.weight.data.uniform_(-1 / 2, 1 / 2)

    def forward(self, z: Tensor) -> Any:
        flat = z.permute(0, 2, 3, 1).contiguous().view(-1, 4)
        w = self.embedding.weight
        d = torch.sum(flat**2, dim=1, keepdim=True) + torch.sum(w**2, dim=1) - 2 * torch.matmul(flat, w.t())
        indices = torch.argmin(d, dim=1).unsqueeze(1)
        encodings = torch.zeros(indices.shape[0], 7, device=z.device)
        encodings.scatter_(1, indices, 1)
        quantized = torch.matmul(encodings, w).view(-1, 5, 5, 4).permute(0, 3, 1, 2)
        return z + (quantized - z).detach(), functional.mse_loss(quantized, z.detach(), reduction="none")


class FiniteScalar(nn.Module):
    """FSQ: bounded, then rounded, levels by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("levels", torch.tensor([7.0, 5.0, 5.0, 5.0]), persistent=False)

    def forward(self, z: Tensor) -> Any:
        half = (self.get_buffer("levels") - 1) * 1.001 / 2
        bounded = z.tanh() * half
        zhat = bounded.round()
        return bounded + (zhat - bounded).detach()


class GumbelGate(nn.Module):
    """functional.gumbel_softmax."""

    def __init__(self, hard: bool) -> None:
        super().__init__()
        self.logits, self.experts, self.hard = nn.Linear(8, 3), nn.Linear(8, 15), hard

    def forward(self, x: Tensor) -> Any:
        logits = self.logits(x)
        y = functional.gumbel_softmax(logits, tau=0.7, hard=self.hard) if self.training else torch.softmax(logits, -1)
        return torch.einsum("nk,nkd->nd", y, self.experts(x).view(-1, 3, 5))


class OwnGumbel(nn.Module):
    """The noise drawn by hand, as in most repositories."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.randn(3) * 0.1)
        self.ops = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1), nn.Identity(), nn.AvgPool2d(3, 1, 1)])

    def forward(self, x: Tensor) -> Any:
        logits = self.alpha * 1
        if self.training:
            u = torch.rand_like(logits)
            logits = logits - torch.log(-torch.log(u + 1e-6) + 1e-6)
        weights = functional.softmax(logits, dim=-1)
        return sum(w * op(x) for w, op in zip(weights, self.ops, strict=True))


class MixtureOfExperts(nn.Module):
    """The two best of four experts for each image, all experts computed."""

    def __init__(self, experts: int = 4, top_k: int = 2) -> None:
        super().__init__()
        self.gate, self.top_k = nn.Linear(8, experts, bias=False), top_k
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(8, 6), nn.SiLU(), nn.Linear(6, 5)) for _ in range(experts))

    def forward(self, x: Tensor) -> Any:
        weights, selected = torch.topk(self.gate(x), self.top_k, dim=-1)
        weights = functional.softmax(weights, dim=-1)
        gates = torch.zeros(x.shape[0], len(self.experts)).scatter(1, selected, weights)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        return torch.sum(gates.unsqueeze(-1) * outputs, dim=1)


class OneHotExperts(nn.Module):
    """Mixtral's mask of experts, with a one hot of what was chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(8, 4), nn.ModuleList(nn.Linear(8, 6) for _ in range(4))

    def forward(self, x: Tensor) -> Any:
        routing_weights = functional.softmax(self.gate(x), dim=1, dtype=torch.float)
        routing_weights, selected = torch.topk(routing_weights, 2, dim=-1)
        routing_weights /= routing_weights.sum(dim=-1, keepdim=True)
        mask = functional.one_hot(selected, num_classes=4).to(x.dtype)
        share = (mask * routing_weights.unsqueeze(-1)).sum(1)
        final = torch.zeros(x.shape[0], 6, dtype=x.dtype)
        for idx, expert in enumerate(self.experts):
            final += expert(x) * share[:, idx, None]
        return final


class IndexedExperts(nn.Module):
    """Only the images an expert is chosen for: how many depends on them."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(8, 3), nn.ModuleList(nn.Linear(8, 6) for _ in range(3))

    def forward(self, x: Tensor) -> Any:
        chosen = self.gate(x).argmax(-1)
        final = torch.zeros(x.shape[0], 6)
        for idx, expert in enumerate(self.experts):
            rows = torch.where(chosen == idx)[0]
            final.index_add_(0, rows, expert(x[rows]))
        return final


class HardAttention(nn.Module):
    """One place of each image, the best, gathered."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Any:
        scores = self.score(x).squeeze(-1).softmax(dim=1)
        index = scores.argmax(dim=1)
        picked = x.gather(1, index.view(-1, 1, 1).expand(-1, 1, x.size(2))).squeeze(1)
        return picked * scores.gather(1, index[:, None])


class TokenPruning(nn.Module):
    """EViT's: the tokens that are looked at most go on, the others are one."""

    def forward(self, x: Tensor) -> Any:
        attention = (x * x[:, :1]).sum(-1)[:, 1:].softmax(-1)
        values, index = torch.topk(attention, 3, dim=1, largest=True, sorted=True)
        kept = torch.gather(x[:, 1:], 1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        mask = torch.ones_like(attention).scatter_(1, index, 0.0)
        rest = (x[:, 1:] * (attention * mask).unsqueeze(-1)).sum(1, keepdim=True)
        return torch.cat([x[:, :1], kept * values.unsqueeze(-1), rest], dim=1)


class AdaptiveDepth(nn.Module):
    """Every exit is computed; where chooses by confidence."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Sequential(nn.Linear(192, 8), nn.ReLU()), nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        self.exits = nn.ModuleList([nn.Linear(8, CLASSES), nn.Linear(8, CLASSES)])

    def forward(self, x: Tensor) -> Any:
        hidden = self.first(x.flatten(1))
        early, late = self.exits[0](hidden), self.exits[1](self.second(hidden))
        if self.training:
            return early + late
        sure = early.softmax(1).max(1, keepdim=True)[0] > 0.7
        return torch.where(sure, early, late)


ROUNDED: dict[str, Case] = {
    "straight through, autograd.Function": layer(StraightThrough, 10),
    "straight through, detached": layer(lambda: Quantised(10, 8), 10),
    "LSQ": layer(LearnedStep, 10),
    "fake quantisation": layer(FakeQuantised, 10),
    "fake quantisation by buffers": layer(TensorScale, 10),
    "quantisation with an observer": layer(Observed, 10),
    "torch.ao's prepare_qat": layer(
        prepared, 3, 6, 6, refused="torch.ao's observers go on in evaluation: use torch.fake_quantize_per_tensor_affine"
    ),
    "binary convolution": layer(lambda: BinaryConv(3, 5, 3), 3, 6, 6),
    "ternary weights": layer(lambda: TernaryLinear(10, 8), 10),
    "BitNet": layer(lambda: BitLinear(10, 8), 10),
    "vector quantisation": layer(VectorQuantiser, 4, 5, 5),
    "finite scalar quantisation": layer(FiniteScalar, 5, 4),
    "gumbel_softmax": layer(lambda: GumbelGate(False), 8),
    "gumbel_softmax, hard": layer(lambda: GumbelGate(True), 8),
    "Gumbel noise by hand": layer(OwnGumbel, 4, 6, 6),
    "mixture of experts": layer(MixtureOfExperts, 8),
    "mixture of experts, one hot": layer(OneHotExperts, 8),
    "mixture of experts, by index": layer(IndexedExperts, 8, refused="choose by torch.where"),
    "hard attention": layer(HardAttention, 7, 6),
    "tokens pruned": layer(TokenPruning, 8, 5),
    "exits by confidence": Case(AdaptiveDepth),
}
