"""Ways of writing: how a forward pass is put together, whatever it computes."""

from __future__ import annotations

import copy
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from tests.sweep.case import CLASSES, Case, layer


class Body(nn.Module):
    """What most of these are written around."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.fc = nn.Linear(6, CLASSES)

    def hidden(self, x: Tensor) -> Tensor:
        return functional.relu(self.conv(x)).mean((2, 3))

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.hidden(x))


class DropBlock(nn.Module):
    def __init__(self, drop_prob: float = 0.1, block_size: int = 3) -> None:
        super().__init__()
        self.drop_prob, self.block_size = drop_prob, block_size

    def forward(self, x: Tensor) -> Any:
        if not self.training or self.drop_prob == 0.0:
            return x
        gamma = self.drop_prob / (self.block_size**2)
        mask = (torch.rand(x.shape[0], *x.shape[2:]) < gamma).float().to(x.device)
        block_mask = functional.max_pool2d(
            input=mask[:, None, :, :],
            kernel_size=(self.block_size, self.block_size),
            stride=(1, 1),
            padding=self.block_size // 2,
        )
        block_mask = 1 - block_mask.squeeze(1)
        out = x * block_mask[:, None, :, :]
        return out * block_mask.numel() / block_mask.sum()


class Mixup(Body):
    """Features of an image mixed with those of another, in training."""

    def __init__(self, permuted: bool) -> None:
        super().__init__()
        self.permuted = permuted

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        if self.training:
            lam = torch.rand(1)
            other = h[torch.randperm(h.size(0))] if self.permuted else torch.flip(h, [0])
            h = lam * h + (1 - lam) * other
        return self.fc(h)


class Noise(Body):
    """Noise on input, features and weights, in training alone."""

    def forward(self, x: Tensor) -> Any:
        if self.training:
            x = x + torch.randn(x.size()) * 0.05
        h = self.hidden(x)
        if self.training:
            h = h * torch.normal(1.0, 0.1, size=h.shape)
            return functional.linear(h, self.fc.weight + 0.01 * torch.randn_like(self.fc.weight), self.fc.bias)
        return self.fc(h)


class Variational(Body):
    """Reparametrised, as in a VAE."""

    def __init__(self) -> None:
        super().__init__()
        self.mu, self.logvar = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        mu, logvar = self.mu(h), self.logvar(h)
        std = torch.exp(0.5 * logvar)
        z = mu + torch.randn_like(std) * std if self.training else mu
        return self.fc(z)


class Distributions(Body):
    """The same by torch.distributions."""

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        if self.training:
            h = torch.distributions.Normal(h, torch.ones_like(h) * 0.1).rsample()
        return self.fc(h)


class Rearranged(nn.Module):
    """einops by hand: b c (h p) (w q) → b (h w) (p q c), and back."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Any:
        b, c, h, w = x.shape
        p = 2
        x = x.view(b, c, h // p, p, w // p, p).permute(0, 2, 4, 3, 5, 1).reshape(b, -1, p * p * c)
        x = self.fc(x)
        x = x.reshape(b, h // p, w // p, p, p, c)
        return torch.einsum("bhwpqc->bchpwq", x).reshape(b, c, h, w)


class ByName(nn.Module):
    """ModuleDict by name, ParameterDict, OrderedDict."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(OrderedDict([("conv", nn.Conv2d(3, 6, 3)), ("act", nn.SiLU())]))
        self.heads = nn.ModuleDict({"class": nn.Linear(6, CLASSES), "other": nn.Linear(6, CLASSES)})
        self.scales = nn.ParameterDict({"class": torch.ones(1), "other": torch.full((CLASSES,), 0.3)})

    def forward(self, x: Tensor) -> Any:
        h = self.stem(x).mean([-2, -1])
        outputs = {name: head(h) * self.scales[name] for name, head in self.heads.items()}
        return sum(outputs.values())


class Hooked(Body):
    """A forward hook keeps features, as for Grad-CAM; another changes its layer's output."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Tensor] = {}
        self.conv.register_forward_hook(self.keep)
        self.fc.register_forward_hook(lambda module, given, output: output * 2)
        self.fc.register_forward_pre_hook(lambda module, given: (given[0] + 0.1,))

    def keep(self, module: nn.Module, given: Any, output: Tensor) -> None:
        self.kept["conv"] = output

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        return self.fc(h + self.kept["conv"].amax((2, 3)))


class BackwardHooked(Body):
    def __init__(self) -> None:
        super().__init__()
        self.fc.register_full_backward_hook(self.halve)

    @staticmethod
    def halve(module: nn.Module, grad_input: Any, grad_output: Any) -> Any:
        return tuple(g * 0.5 for g in grad_input)


class TensorHooked(Body):
    """A hook on a tensor, which changes the gradient that passes."""

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        if h.requires_grad:
            h.register_hook(lambda g: g * 0.5)  # type: ignore[no-untyped-call]
        return self.fc(h)


class Partial(nn.Module):
    """Layers made by functools.partial, activations by name."""

    def __init__(self, act: str = "hard_swish") -> None:
        super().__init__()
        acts: dict[str, Any] = {"hard_swish": partial(functional.hardswish, inplace=False), "gelu": functional.gelu}
        conv, norm = partial(nn.Conv2d, kernel_size=3, bias=False), partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
        self.act, self.conv, self.norm = acts[act], conv(3, 6), norm(6)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.act(self.norm(self.conv(x))).mean(dim=-1).mean(dim=-1))


class Checkpointed(Body):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.blocks = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh())

    def forward(self, x: Tensor) -> Any:
        h = checkpoint(self.hidden, x, use_reentrant=self.reentrant)
        return self.fc(checkpoint_sequential(self.blocks, 2, h, use_reentrant=self.reentrant))  # type: ignore[no-untyped-call]


class ScriptedPart(nn.Module):
    """A part that is torch.jit.script'ed."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.jit.script(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)))
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.body(x).flatten(1))


@torch.jit.script
def fused_swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


class ScriptedFunction(Body):
    def forward(self, x: Tensor) -> Any:
        return self.fc(fused_swish(self.hidden(x)))


class CompiledPart(Body):
    def __init__(self) -> None:
        super().__init__()
        self.block = torch.compile(nn.Sequential(nn.Linear(6, 6), nn.ReLU()))

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.block(self.hidden(x)))


def compiled() -> nn.Module:
    made: Any = torch.compile(Body())
    assert isinstance(made, nn.Module)
    return made


class CompiledMethod(Body):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
        self.block.compile()

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.block(self.hidden(x)))


@torch.compile
def compiled_swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


class CompiledFunction(Body):
    def forward(self, x: Tensor) -> Any:
        return self.fc(compiled_swish(self.hidden(x)))


class Mapped(Body):
    """torch.func.vmap over the images."""

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        return self.fc(h) + torch.func.vmap(lambda v: (v * v).sum() - v.max())(h).unsqueeze(1)


class InnerGradient(Body):
    """The gradient of an energy within forward."""

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        return self.fc(h + 0.1 * torch.func.grad(lambda v: (v.tanh() ** 2).sum())(h))


class Autocast(Body):
    """An autocast of its own."""

    def __init__(self, kind: torch.dtype) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Any:
        with torch.autocast("cpu", dtype=self.kind):
            h = self.hidden(x)
        return self.fc(h.float())


class NoAutocast(Body):
    """Autocast switched off for what has to be float32, as in timm."""

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        with torch.amp.autocast("cpu", enabled=False):
            h = functional.normalize(h.float(), dim=-1)
        return self.fc(h)


class Item(Body):
    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        return self.fc(h / h.abs().max().item())


class Branch(Body):
    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        if h.mean() > 0:
            h = h * 2
        return self.fc(h)


class BooleanMask(Body):
    """Only positive values, however many they are."""

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        return self.fc(h) + h[h > 0].mean()


class ByNumpy(Body):
    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        return self.fc(h + torch.from_numpy(h.detach().numpy() * 0.5))


class NanGuard(Body):
    """A check of values, as one debugs."""

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        if torch.isnan(h).any():
            raise ValueError("NaN")
        return self.fc(h)


class Enumerated(nn.Module):
    """Loops over layers, named by an f-string, every second with a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 4
        for i in range(self.depth):
            setattr(self, f"layer_{i}", nn.Linear(8, 8))
            self.add_module(f"norm_{i}", nn.LayerNorm(8))

    def forward(self, x: Tensor) -> Any:
        skips: list[Tensor] = []
        for i in range(self.depth):
            y = getattr(self, f"norm_{i}")(getattr(self, f"layer_{i}")(x))
            x = y + skips.pop() if i % 2 else functional.elu(y)
            skips.append(x)
        return x


class InPlaceSlices(nn.Module):
    """TSM's shift: a tensor of zeros, filled by slices."""

    def forward(self, x: Tensor) -> Any:
        out = torch.zeros_like(x)
        out[:, :-1, :2] = x[:, 1:, :2]
        out[:, 1:, 2:4] = x[:, :-1, 2:4]
        out[:, :, 4:] = x[:, :, 4:]
        out[:, 0] += 0.5
        out[..., -1].mul_(2)
        return out


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Any:
        y = x.clone()
        y += 1
        y.mul_(x).sub_(0.3)
        y /= 2.0
        y[y < 0] = 0.1
        y.clamp_(max=0.9)
        return torch.relu_(y)


class Data(Body):
    """x.data, the old way to detach."""

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        return self.fc(h / (h.data.norm(dim=1, keepdim=True) + 1e-3))


class NoGradPart(Body):
    def forward(self, x: Tensor) -> Any:
        with torch.no_grad():
            mean = x.mean((2, 3), keepdim=True)
            std = x.std((2, 3), keepdim=True)
        with torch.set_grad_enabled(self.training):
            h = self.hidden((x - mean) / (std + 1e-5))
        return self.fc(h)


class Asserted(Body):
    """assert, print, f-strings, type checks, size()."""

    def forward(self, x: Tensor) -> Any:
        assert x.ndim == 4, f"expected 4 dimensions, got {x.ndim}"
        assert x.shape[1] == 3 and x.size(-1) % 2 == 0, f"bad size {tuple(x.shape)}"
        torch._assert(x.shape[2] == x.shape[3], "square")  # type: ignore[no-untyped-call]
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"{type(x)}")
        h = self.hidden(x)
        print(f"hidden {h.shape} {h.dtype} {x.device}")
        return self.fc(h)


@dataclass
class Output:
    logits: Tensor
    hidden_states: list[Tensor]


class ByDataclass(Body):
    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        return Output(self.fc(h), [h])


Pair = namedtuple("Pair", ("logits", "features"))


class ByNamedTuple(Body):
    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        return Pair(logits=self.fc(h), features=h)


class ByDictionary(Body):
    def forward(self, x: Tensor, return_features: bool = True, **unused: Any) -> Any:
        h = self.hidden(x)
        out = {"features": h} if return_features else {}
        out.update(logits=self.fc(h))
        return out


class Auxiliary(Body):
    """GoogLeNet's: another head in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.aux = nn.Linear(192, CLASSES)

    def forward(self, x: Tensor) -> Any:
        out = self.fc(self.hidden(x))
        if self.training:
            return out, self.aux(x.flatten(1))
        return out


class Normalising(Body):
    """ImageNet's mean and deviation within the model, in buffers that are no state."""

    def __init__(self) -> None:
        super().__init__()
        mean = torch.tensor([0.485, 0.456, 0.406])
        self.register_buffer("mean", mean.view(1, 3, 1, 1), persistent=False)
        self.std = torch.tensor([0.229, 0.224, 0.225]).view(-1, 1, 1)

    def forward(self, x: Tensor) -> Any:
        return super().forward((x - self.get_buffer("mean")) / self.std)


class Cached(Body):
    """Positions made at the first run and kept, by the size they were made for."""

    cached: Tensor | None = None

    def forward(self, x: Tensor) -> Any:
        if self.cached is None or self.cached.shape[-1] != x.shape[-1]:
            self.cached = torch.linspace(0, 1, x.shape[-1])
        return super().forward(x + self.cached)


class Stateful(Body):
    """A state that goes on from batch to batch, outside of every buffer."""

    state: Tensor | None = None

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        mean = h.mean(0).detach()
        self.state = mean if self.state is None else 0.5 * self.state + mean
        return self.fc(h - self.state)


class CachedByName(Body):
    """The same in a dictionary, as rotary embeddings are."""

    def __init__(self) -> None:
        super().__init__()
        self.cache: dict[tuple[int, ...], Tensor] = {}

    def forward(self, x: Tensor) -> Any:
        key = tuple(x.shape[1:])
        if key not in self.cache:
            self.cache[key] = torch.linspace(0, 1, x.shape[-1])
        return super().forward(x + self.cache[key])


class Counter(Body):
    """A warm-up by a buffer that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("num_updates", torch.tensor(0))

    def forward(self, x: Tensor) -> Any:
        steps = self.get_buffer("num_updates")
        if self.training:
            steps += 1
        return self.fc(self.hidden(x)) * torch.clamp(steps / 100.0, min=0.5)


class PythonCounter(Body):
    steps = 0

    def forward(self, x: Tensor) -> Any:
        self.steps += 1
        return self.fc(self.hidden(x)) * min(1.0, self.steps / 10)


class ChannelsLast(Body):
    def forward(self, x: Tensor) -> Any:
        x = x.to(memory_format=torch.channels_last)
        return self.fc(self.hidden(x.contiguous(memory_format=torch.contiguous_format)))


class Double(Body):
    """A part in double precision, as for a stable sum."""

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x).double()
        return self.fc((h / (h.sum(1, keepdim=True) + 1e-6)).float())


class Half(Body):
    """What is exact in half precision, as images are."""

    def forward(self, x: Tensor) -> Any:
        return super().forward((x > 0.5).half().float() + x)


class Lazy(nn.Module):
    """Lazy layers, run once when made."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.LazyConv2d(6, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4))
        self.net(torch.zeros(2, 3, 8, 8))

    def forward(self, x: Tensor) -> Any:
        return self.net(x)


class Generator(Body):
    """Random numbers from a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(3)

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        return self.fc(h + torch.rand(h.shape, generator=self.generator) if self.training else h)


class TestTimeFlips(Body):
    """In evaluation the mean of two views."""

    def forward(self, x: Tensor) -> Any:
        if self.training:
            return self.fc(self.hidden(x))
        views = torch.cat([x, x.flip(-1)], dim=0)
        a, b = self.fc(self.hidden(views)).chunk(2)
        return (a + b) / 2


class SiameseBatch(Body):
    """Two halves of each image as one batch, through one body."""

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(torch.cat([x[..., :4], x[..., 4:]], dim=0))
        left, right = torch.split(h, x.shape[0])
        return self.fc(torch.abs(left - right) + left * right)


class BatchStatistics(Body):
    """Minibatch discrimination: how far the images of a batch are from one another."""

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        distance = (h.unsqueeze(0) - h.unsqueeze(1)).abs().sum(2)
        return self.fc(h) + torch.exp(-distance).sum(0, keepdim=True).t()


class Bank(Body):
    """Features of the last batches, in a buffer that is assigned anew after it was multiplied with."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bank", torch.randn(4, 6))
        self.register_buffer("oldest", torch.tensor(0))

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        bank, oldest = self.get_buffer("bank"), self.get_buffer("oldest")
        out = self.fc(h) + h @ bank.T
        if self.training:
            bank = torch.roll(bank, 1, 0)
            bank[oldest] = h.detach().mean(0)
            self.bank, self.oldest = bank, (oldest + 1) % 4
        return out


class TiedMoments(Body):
    """Two buffers that become one tensor, beside a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.register_buffer("slow", torch.zeros(6))
        self.register_buffer("fast", torch.ones(6))

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        out = self.fc(self.second(torch.tanh(self.first(h * self.get_buffer("fast")))) - self.get_buffer("slow") * h)
        if self.training:
            self.slow = self.fast = 0.9 * self.get_buffer("fast") + 0.1 * h.detach().mean(0)
        return out


class ChangedInEvaluation(Body):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        self.get_buffer("mean").mul_(0.9).add_(h.detach().mean(0), alpha=0.1)
        return self.fc(h - self.get_buffer("mean"))


class Conditional(Body):
    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        return self.fc(torch.cond(h.mean() > 0.2, lambda v: v * 2, lambda v: v - 1, (h,)))


class Constant(Body):
    """A buffer, and an attribute that is none, in a form of its own."""

    def __init__(self, held: Tensor, is_buffer: bool = True) -> None:
        super().__init__()
        if is_buffer:
            self.register_buffer("held", held)
        else:
            self.held = held

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        held: Tensor = self.held
        return self.fc(torch.sparse.mm(held, h.t()).t() if held.is_sparse else h * held.float())


HABITS: dict[str, Case] = {
    "DropBlock": layer(DropBlock, 4, 7, 7),
    "mixup, the batch reversed": Case(lambda: Mixup(False)),
    "mixup, by randperm": Case(lambda: Mixup(True)),
    "noise": Case(Noise),
    "reparametrised": Case(Variational),
    "torch.distributions": Case(Distributions),
    "patches rearranged": layer(Rearranged, 4, 6, 6),
    "layers and parameters by name": Case(ByName),
    "forward hooks": Case(Hooked),
    "full backward hook": Case(BackwardHooked),
    "a tensor's hook": Case(TensorHooked),
    "functools.partial": Case(Partial),
    "checkpoint": Case(lambda: Checkpointed(False)),
    "checkpoint, reentrant": Case(lambda: Checkpointed(True)),
    "torch.jit.script, a part": Case(
        ScriptedPart, "is scripted (torch.jit), of which sizes of the batch are numbers: give it as it was written"
    ),
    "torch.jit.script, a function": Case(ScriptedFunction),
    "torch.jit.script, the whole": Case(
        lambda: torch.jit.script(Body()),
        "is scripted (torch.jit), of which sizes of the batch are numbers: give it as it was written",
    ),
    "torch.compile, a part": Case(CompiledPart),
    "torch.compile, a function": Case(CompiledFunction),
    "torch.compile, by the method": Case(CompiledMethod),
    "torch.compile, the whole": Case(compiled),
    "DataParallel": Case(lambda: nn.DataParallel(Body())),
    "deepcopied": Case(lambda: copy.deepcopy(Body())),
    "vmap": Case(Mapped),
    "gradient within forward": Case(InnerGradient),
    "autocast, bfloat16": Case(
        lambda: Autocast(torch.bfloat16), "_to_copy in the type torch.bfloat16; use one of torch.float32"
    ),
    "autocast switched off": Case(NoAutocast),
    ".item()": Case(Item),
    "branch on values": Case(Branch, "one of the branches would be traced for all images; write it with torch.where"),
    "boolean mask": Case(BooleanMask, "that only values tell: choose by torch.where"),
    "torch.cond": Case(Conditional),
    "bank of features": Case(Bank),
    "two buffers assigned at once": Case(TiedMoments),
    "buffer changed in evaluation": Case(
        ChangedInEvaluation, "which leaves a model as it is: mean; guard it by self.training"
    ),
    "sparse buffer": Case(
        lambda: Constant(torch.eye(6).to_sparse()),
        "sparse or quantised tensors, which no graph has: held; compute with dense tensors (x.to_dense())",
    ),
    "sparse constant": Case(
        lambda: Constant(torch.eye(6).to_sparse(), is_buffer=False),
        "whose result has no shape that torch knows: compute with dense tensors (x.to_dense())",
    ),
    "buffer in bfloat16": Case(
        lambda: Constant(torch.full((6,), 0.3).bfloat16()),
        "bfloat16, with which no graph computes: held; call .float() on it",
    ),
    "constant in bfloat16": Case(
        lambda: Constant(torch.full((6,), 0.3).bfloat16(), is_buffer=False),
        "bfloat16, with which no graph computes: a constant of the model; call .float() on it",
    ),
    "numpy within forward": Case(ByNumpy, "the model goes to numpy, which no graph has: compute with torch alone"),
    "guard against NaN": Case(
        NanGuard, "one of the branches would be traced for all images; write it with torch.where"
    ),
    "loops over layers": layer(Enumerated, 8),
    "slices in place": layer(InPlaceSlices, 5, 6),
    "in place": layer(InPlace, 10),
    "x.data": Case(Data),
    "no_grad in parts": Case(NoGradPart),
    "assert, print": Case(Asserted),
    "dataclass": Case(ByDataclass),
    "named tuple": Case(ByNamedTuple),
    "dictionary": Case(ByDictionary),
    "another head in training": Case(Auxiliary),
    "normalising within": Case(Normalising),
    "positions kept from run to run": Case(Cached),
    "positions kept by size": Case(CachedByName),
    "state outside of buffers": Case(
        Stateful, "forward keeps a tensor that is no buffer between runs, which no graph carries: make it one"
    ),
    "buffer that counts": Case(Counter),
    "number that counts": Case(PythonCounter, "which no graph carries: make it a buffer (register_buffer)"),
    "channels last": Case(ChannelsLast),
    "double precision in part": Case(Double),
    "half precision in part": Case(Half),
    "lazy layers": Case(Lazy),
    "generator of its own": Case(
        Generator, "the model draws from a generator of its own, which no graph has: leave generator= out"
    ),
    "two views in evaluation": Case(TestTimeFlips),
    "halves as a batch": Case(SiameseBatch),
    "distances within the batch": Case(BatchStatistics),
}
