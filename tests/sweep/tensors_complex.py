"""Complex numbers and Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.sweep.case import Case, function, layer


def _complex(operation: Callable[[Tensor], Any], refused: str = "") -> Case:
    """Of complex numbers, N×3×4×6."""
    return function(lambda x: operation(torch.view_as_complex(x.reshape(-1, 3, 4, 6, 2))), 3, 4, 12, refused=refused)


def _real(operation: Callable[[Tensor], Any], refused: str = "") -> Case:
    return function(operation, 3, 4, 6, refused=refused)


class Rotary(nn.Module):
    """Complex rotary embeddings of N×T×H×D, as Llama's. Su et al., arXiv:2104.09864."""

    turns: Tensor

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        rates = 100.0 ** -(torch.arange(0, width, 2) / width)
        angles = torch.outer(torch.arange(tokens), rates)
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * self.turns[:, None]).flatten(3).type_as(x)


class GlobalFilter(nn.Module):
    """A filter of all frequencies with trained complex weights. Rao et al., arXiv:2107.00645."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4, 4, 2) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        frequencies = torch.fft.rfft2(x, norm="ortho") * torch.view_as_complex(self.weight)
        filtered: Tensor = torch.fft.irfft2(frequencies, s=x.shape[-2:], norm="ortho")
        return filtered


class SpectralConv(nn.Module):
    """Products of the low frequencies, the others 0, as a Fourier neural operator's. Li et al., arXiv:2010.08895."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = (nn.Parameter(torch.rand(3, 4, 2, 2, 2) * 0.2) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        found = torch.fft.rfft2(x)
        out = torch.zeros(x.shape[0], 4, 6, 4, dtype=torch.cfloat, device=x.device)
        for rows, weight in ((slice(2), self.low), (slice(-2, None), self.high)):
            of_rows = found[:, :, rows, :2]
            out[:, :, rows, :2] = torch.einsum("bixy,ioxy->boxy", of_rows, torch.view_as_complex(weight))
        made: Tensor = torch.fft.irfft2(out, s=(6, 6))
        return made


class ComplexWeight(nn.Module):
    """A trained parameter that is complex itself."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4, 4, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        filtered: Tensor = torch.fft.irfft(torch.fft.rfft(x) * self.weight)
        return filtered


COMPLEX: dict[str, Case] = {
    "rotary embedding": layer(lambda: Rotary(4, 6), 4, 3, 6),
    "global filter": layer(GlobalFilter, 3, 4, 6),
    "complex parameter": layer(
        ComplexWeight,
        3,
        4,
        6,
        refused="complex parameters: operation.weight; keep pairs of real numbers (torch.view_as_real(weight))",
    ),
    "spectral convolution": layer(SpectralConv, 3, 6, 6),
    "view_as_complex": _complex(lambda z: z),
    "view_as_real": _complex(lambda z: torch.view_as_real(z)),
    "complex": _real(lambda x: torch.complex(x, x * 2) * 1j),
    "polar": _real(lambda x: torch.polar(x, x * 3)),
    "real": _complex(lambda z: z.real * 2),
    "imag": _complex(lambda z: z.imag * 2),
    "abs, complex": _complex(torch.abs),
    "angle": _complex(torch.angle),
    "angle, real": _real(torch.angle),
    "conj": _complex(lambda z: z.conj() * z),
    "add, complex": _complex(lambda z: z + z[:, :1] - 2 + 1j),
    "add, of a real": _complex(lambda z: z + z.real),
    "mul, complex": _complex(lambda z: z * z[:, :1] * 2),
    "mul, by a real": _complex(lambda z: z * z.real * (1 + 2j)),
    "div, complex": _complex(lambda z: z / (z[:, :1] + 3)),
    "div, by a real": _complex(lambda z: z / (z.real + 3)),
    "matmul, complex": _complex(lambda z: z @ z.transpose(-1, -2)),
    "matmul, complex adjoint": _complex(lambda z: z @ z.mH),
    "einsum, complex": _complex(lambda z: torch.einsum("nchw,hk->nckw", z, z[0, 0, :, :4])),
    "exp, complex": _complex(torch.exp),
    "log, complex": _complex(lambda z: torch.log(z + 2)),
    "sqrt, complex": _complex(lambda z: torch.sqrt(z + 2)),
    "pow, complex": _complex(lambda z: z**2 + z**3),
    "reciprocal, complex": _complex(lambda z: torch.reciprocal(z + 2)),
    "neg, complex": _complex(lambda z: -z),
    "sum, complex": _complex(lambda z: z.sum((1, 3))),
    "mean, complex": _complex(lambda z: z.mean(1)),
    "prod, complex": _complex(lambda z: z.prod(1), refused="prod of complex numbers; compute with their parts"),
    "cumsum, complex": _complex(lambda z: z.cumsum(1)),
    "norm, complex": _complex(lambda z: torch.linalg.vector_norm(z, dim=1)),
    "sgn, complex": _complex(torch.sgn),
    "tanh, complex": _complex(torch.tanh, refused="tanh of complex numbers; compute with their parts"),
    "cat, complex": _complex(lambda z: torch.cat([z, z.conj()], 1)),
    "stack, complex": _complex(lambda z: torch.stack([z, z * 1j], -1)),
    "slice, complex": _complex(lambda z: z[:, 1:, ::2] * 2),
    "reshape, complex": _complex(lambda z: z.transpose(1, 2).reshape(-1, 72) * 1j),
    "split, complex": _complex(lambda z: torch.split(z, 3, -1)),
    "where, complex": _complex(lambda z: torch.where(z.real > 0, z, z * 0.5)),
    "pad, complex": _complex(lambda z: nn.functional.pad(z, (1, 1))),
    "roll, complex": _complex(lambda z: torch.roll(z, 1, 3)),
    "index, complex": _complex(lambda z: z[:, [0, 2, 2]]),
    "eye, complex": _complex(lambda z: z @ torch.eye(6, dtype=z.dtype)),
    "unfold, complex": _complex(lambda z: z.unfold(-1, 3, 2)),
    "index_add, complex": _complex(lambda z: torch.zeros_like(z[:, :2]).index_add(1, torch.tensor([0, 1, 1]), z)),
    "repeat_interleave, complex": _complex(lambda z: z.repeat_interleave(2, 1)),
    "addmm, complex": _complex(lambda z: torch.addmm(z[0, 0, 0, :4], z[:, 0, 0], z[0, 0].mT)),
    "baddbmm, complex": _complex(lambda z: torch.baddbmm(z[:, 1, :, :4], z[:, 0], z[:, 2].mT)),
    "addcmul, complex": _complex(lambda z: torch.addcmul(z, z, z.conj(), value=2)),
    "x[:, 1:] = z": _complex(lambda z: _assigned(z)),
    "fft": _real(lambda x: torch.fft.fft(x)),
    "fft, complex": _complex(lambda z: torch.fft.fft(z, dim=2, norm="ortho")),
    "fft, cut": _real(lambda x: torch.fft.fft(x, 5)),
    "fft, padded": _real(lambda x: torch.fft.fft(x, 8, norm="forward")),
    "fft, its real part": _real(lambda x: torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real),
    "fft2": _real(lambda x: torch.fft.fft2(x)),
    "fftn": _real(lambda x: torch.fft.fftn(x, dim=(1, 2, 3))),
    "fftshift": _real(lambda x: torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1))),
    "fftfreq": _real(lambda x: x * torch.fft.fftfreq(6)),
    "hfft": _complex(lambda z: torch.fft.hfft(z, 8)),
    "ifft": _complex(lambda z: torch.fft.ifft(z)),
    "ifft2": _complex(lambda z: torch.fft.ifft2(z).real),
    "ihfft": _real(lambda x: torch.fft.ihfft(x)),
    "irfft": _complex(lambda z: torch.fft.irfft(z)),
    "irfft, odd": _complex(lambda z: torch.fft.irfft(z, 9)),
    "irfft2": _complex(lambda z: torch.fft.irfft2(z, (4, 10))),
    "irfftn": _complex(lambda z: torch.fft.irfftn(z, dim=(1, 2, 3))),
    "rfft": _real(lambda x: torch.fft.rfft(x)),
    "rfft, odd": _real(lambda x: torch.fft.rfft(x[..., :5], norm="ortho")),
    "rfft, its magnitude": _real(lambda x: torch.fft.rfft(x).abs()),
    "rfft2": _real(lambda x: torch.fft.rfft2(x)),
    "rfftn": _real(lambda x: torch.fft.rfftn(x, dim=(1, 2, 3))),
    "rfft of the batch": _real(
        lambda x: torch.fft.rfft(x, dim=0)[:1].abs() + x,
        refused="one of them would be traced for all; write it for any size, with x.shape[0], which len(x) is not",
    ),
    "stft": _real(lambda x: torch.stft(x.flatten(1), 16, 8, window=torch.hann_window(16), return_complex=True)),
    "stft, its magnitude": _real(
        lambda x: torch.stft(x.flatten(1), 16, 8, center=False, window=torch.ones(16), return_complex=True).abs()
    ),
    "istft": _real(
        lambda x: torch.istft(
            torch.stft(x.flatten(1), 16, 8, window=torch.hann_window(16), return_complex=True),
            16,
            8,
            window=torch.hann_window(16),
        ),
        refused="the ONNX standard: take torch.fft.irfft of the frames and add them by torch.nn.functional.fold",
    ),
}


def _assigned(z: Tensor) -> Tensor:
    copy = z * 1
    copy[:, 1:] = z[:, :-1] * 1j
    return copy
