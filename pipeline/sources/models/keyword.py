"""Key words: the small DS-CNN of "Hello Edge" (Zhang and others, 2017), for seconds of sound at 16 kHz.

As in the paper: ten MFCC of 40 mel bands between 20 Hz and 4 kHz, windows of 40 ms every 20 ms; a convolution of 10×4,
four depthwise separable ones of 3×3 of 64 channels, each with batch normalisation, the mean, and a dense layer.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from pipeline.recipe import Preprocessing, Recipe
from pipeline.sources.layers.log_mel import LogMel

# Sound reaches the model as it is.
RECIPE = Recipe(Preprocessing(1, 1), batch_size=32, cycles=3000, learning_rate=2e-3)

_BANDS, _COEFFICIENTS, _CHANNELS, _BLOCKS = 40, 10, 64, 4


class Mfcc(nn.Module):
    """Sound, float32 N×length → the first mel-frequency cepstral coefficients, N×1×frames×coefficients."""

    cosines: torch.Tensor

    def __init__(self, bands: int, coefficients: int) -> None:
        super().__init__()
        self.log_mel = LogMel(bands=bands, highest=4000.0)
        # The orthonormal discrete cosine transform, of type II.
        angles = (
            math.pi / bands * (torch.arange(bands, dtype=torch.float64)[:, None] + 0.5) * torch.arange(coefficients)
        )
        cosines = torch.cos(angles) * math.sqrt(2 / bands)
        cosines[:, 0] /= math.sqrt(2)
        self.register_buffer("cosines", cosines.float(), persistent=False)

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        """The coefficients of samples of full scale 2¹⁵."""
        coefficients: torch.Tensor = self.log_mel(sound) @ self.cosines
        return coefficients.unsqueeze(1)


class DsCnn(nn.Module):
    """The network: sound, float32 N×16000 → logits, N×classes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.mfcc = Mfcc(_BANDS, _COEFFICIENTS)
        # Padded as TensorFlow does it: what a stride leaves over is at the end.
        self.first = nn.Sequential(
            nn.ZeroPad2d((1, 1, 4, 5)), *_normalised(nn.Conv2d(1, _CHANNELS, (10, 4), 2, bias=False))
        )
        self.blocks = nn.Sequential(*(_separable(_CHANNELS) for _ in range(_BLOCKS)))
        self.dense = nn.Linear(_CHANNELS, classes)

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        """Logits of seconds of sound.

        Raises:
          ValueError: it is given something else.
        """
        if sound.dim() != 2 or sound.shape[1] < self.mfcc.log_mel.window:
            raise ValueError(
                "keyword takes sound, a folder of WAV files for each class; for pictures give --model lenet or "
                "--model transfer, or a module of your own"
            )
        features = self.blocks(self.first(self.mfcc(sound)))
        logits: torch.Tensor = self.dense(features.mean((2, 3)))
        return logits


def build(classes: int) -> nn.Module:
    """The network with torch's initial weights."""
    return DsCnn(classes)


def _normalised(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]


def _separable(channels: int) -> nn.Sequential:
    """Each channel for itself, then all of them at each place."""
    return nn.Sequential(
        *_normalised(nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)),
        *_normalised(nn.Conv2d(channels, channels, 1, bias=False)),
    )
