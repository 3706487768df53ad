"""Sound → log-mel features, as matrix products: nothing but the operators that every step has.

A frame's Fourier transform is a product with cosines and sines. The window is even about the frame's middle, as the
cosines are, and the sines are odd: so of the two samples that are equally far from the middle the sum is enough for the
one product, the difference for the other, each of half the length. Only frequencies that a mel band reads are computed.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

# As soundfile gives 16-bit recordings: from −1 to 1.
FULL_SCALE = 2**15

# Of Slaney's mel scale: linear up to 1000 Hz, 15 mel there, then 27 mel for each factor of 6.4.
_HZ_OF_MEL, _KNEE_HZ, _STEP = 200 / 3, 1000.0, math.log(6.4) / 27


class LogMel(nn.Module):
    """Samples as 16-bit recordings have them, N×length → logarithms of mel energies, N×frames×bands; nothing trains.

    The energies are those of `librosa.feature.melspectrogram(y, sr=rate, n_fft=window, hop_length=hop, n_mels=bands,
    fmin=lowest, fmax=highest, center=False)` with y from −1 to 1; each has `floor` added before its natural logarithm.
    """

    cosines: torch.Tensor
    sines: torch.Tensor
    mel: torch.Tensor

    def __init__(
        self,
        rate: int = 16000,
        window: int = 640,
        hop: int = 320,
        bands: int = 40,
        lowest: float = 20.0,
        highest: float | None = None,
        floor: float = 1e-6,
    ) -> None:
        """Makes the matrices.

        Args:
          rate: samples of a second.
          window: samples of a frame, an even number.
          hop: samples between the beginnings of two frames.
          bands: how many mel bands.
          lowest: Hz, where the first band begins.
          highest: Hz, where the last one ends; None: half the rate.
          floor: below it, energies make no difference: log(0) has no number.

        Raises:
          ValueError: the window is odd.
        """
        super().__init__()
        if window % 2:
            raise ValueError(f"a window of {window} samples: give an even number")
        self.window, self.hop, self.floor = window, hop, floor
        mel = mel_matrix(rate, window, bands, lowest, rate / 2 if highest is None else highest)
        read = np.flatnonzero(mel.any(axis=0))
        cosines, sines = _fourier(window, read)
        # Of the frame's middle there is one sample, and its sum with itself is two.
        cosines[-1] /= 2
        matrices = {"cosines": cosines / FULL_SCALE, "sines": sines / FULL_SCALE, "mel": mel[:, read].T}
        for name, matrix in matrices.items():
            self.register_buffer(name, torch.from_numpy(matrix.astype(np.float32)), persistent=False)

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        """Features, float32 N×frames×bands, of samples of full scale 2¹⁵, float32 N×length."""
        frames = self._frames(sound.float())
        half = self.window // 2
        # The window is 0 at the first sample, and even from there on.
        front, back = frames[..., 1 : half + 1], frames[..., half:].flip(-1)
        real, imaginary = (front + back) @ self.cosines, (front - back) @ self.sines
        return torch.log((real * real + imaginary * imaginary) @ self.mel + self.floor)

    def _frames(self, sound: torch.Tensor) -> torch.Tensor:
        """N×length as N×frames×window; in blocks that lie whole in a frame, as single samples are picked slowly."""
        block = math.gcd(self.window, self.hop)
        count = (sound.shape[1] - self.window) // self.hop + 1
        first = torch.arange(count)[:, None] * (self.hop // block)
        whole = sound.shape[1] // block
        blocks = sound[:, : whole * block].reshape(-1, whole, block)
        picked: torch.Tensor = blocks[:, first + torch.arange(self.window // block)]
        return picked.flatten(2)


def mel_matrix(rate: int, window: int, bands: int, lowest: float, highest: float) -> npt.NDArray[np.float64]:
    """Weights of a window's frequencies in triangular bands of equal area, bands × (window / 2 + 1)."""
    frequencies = np.arange(window // 2 + 1) * rate / window
    edges = _hz(np.linspace(_mel(lowest), _mel(highest), bands + 2))
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    weights: npt.NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)
    return weights


def _mel(hz: float) -> float:
    return hz / _HZ_OF_MEL if hz < _KNEE_HZ else _KNEE_HZ / _HZ_OF_MEL + math.log(hz / _KNEE_HZ) / _STEP


def _hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    knee = _KNEE_HZ / _HZ_OF_MEL
    return np.where(mel < knee, mel * _HZ_OF_MEL, _KNEE_HZ * np.exp((mel - knee) * _STEP))


def _fourier(window: int, frequencies: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Cosines and sines under a Hann window, from its second sample to the middle one: (window / 2) × frequencies."""
    sample = np.arange(1, window // 2 + 1)[:, None]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * sample / window)
    # Whole turns are taken out of the angle before it is rounded.
    angle = 2 * np.pi * ((sample * frequencies) % window) / window
    return hann * np.cos(angle), hann * np.sin(angle)
