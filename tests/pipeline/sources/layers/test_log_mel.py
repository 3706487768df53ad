"""Log-mel features are librosa's."""

from __future__ import annotations

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipeline.sources.layers.log_mel import FULL_SCALE, LogMel, mel_matrix
from pipeline.sources.models.keyword import Mfcc

RATE = 16000


def sounds() -> npt.NDArray[np.int16]:
    """Noise, loud and soft; a tone that rises, with overtones; silence, all as recordings of 16 bits."""
    random = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    rising = sum(np.sin(2 * np.pi * over * (100 * time + 300 * time**2)) / over for over in range(1, 9))
    speech = 0.3 * rising * np.sin(np.pi * 3 * time) ** 2 + 1e-3 * random.standard_normal(RATE)
    every = [random.uniform(-1, 1, RATE), 1e-2 * random.standard_normal(RATE), speech, np.zeros(RATE)]
    whole: npt.NDArray[np.int16] = np.round(np.clip(every, -1, 1) * (FULL_SCALE - 1)).astype(np.int16)
    return whole


@pytest.mark.parametrize(
    ("window", "hop", "bands", "lowest", "highest"),
    [(640, 320, 40, 20, 4000), (640, 320, 40, 20, None), (400, 160, 80, 0, 8000), (512, 512, 64, 50, 7600)],
)
def test_it_gives_librosas_numbers(window: int, hop: int, bands: int, lowest: float, highest: float | None) -> None:
    layer = LogMel(RATE, window, hop, bands, lowest, highest)
    found = layer(torch.from_numpy(sounds())).numpy()
    for sound, features in zip(sounds(), found, strict=True):
        energies = librosa.feature.melspectrogram(
            y=sound.astype(np.float32) / FULL_SCALE,
            sr=RATE,
            n_fft=window,
            hop_length=hop,
            n_mels=bands,
            fmin=lowest,
            fmax=highest,
            center=False,
        )
        np.testing.assert_allclose(features, np.log(energies.T + layer.floor), atol=1e-4)


def test_the_bands_are_librosas() -> None:
    found = mel_matrix(RATE, 640, 40, 20, 4000)
    np.testing.assert_allclose(found, librosa.filters.mel(sr=RATE, n_fft=640, n_mels=40, fmin=20, fmax=4000), atol=1e-8)


def test_the_models_coefficients_are_librosas_of_the_same_bands() -> None:
    sound = torch.from_numpy(sounds())
    layer = Mfcc(40, 10)
    found, bands = layer(sound).numpy(), layer.log_mel(sound).numpy()
    for coefficients, features in zip(found[:, 0], bands, strict=True):
        wanted = librosa.feature.mfcc(S=features.T, n_mfcc=10, dct_type=2, norm="ortho")
        np.testing.assert_allclose(coefficients, wanted.T, atol=1e-4)


def test_nothing_of_it_trains_and_no_checkpoint_holds_it() -> None:
    assert not list(LogMel().parameters())
    assert not LogMel().state_dict()


def test_a_window_without_a_middle_is_refused() -> None:
    with pytest.raises(ValueError, match="a window of 641 samples: give an even number"):
        LogMel(window=641)
