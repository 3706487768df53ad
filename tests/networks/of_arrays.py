"""Small networks of arrays, with what each trains on."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

WORDS, TAGS = 20, 3
LABELS, VALUES = 5, 2


class Motions(nn.Module):
    """A GRU over windows of three sensors, N×50×3, and a dense layer on its last output."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 24, batch_first=True)
        self.out = nn.Linear(24, 4)

    def forward(self, window: Tensor) -> Tensor:
        """Logits of the motions."""
        return cast(Tensor, self.out(self.gru(window)[0][:, -1]))


class Tagger(nn.Module):
    """A class for each word of a text, N×12 numbers of words → N×3×12."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, 16)
        self.out = nn.Linear(16, TAGS)

    def forward(self, words: Tensor) -> Tensor:
        """Logits, classes before positions."""
        return cast(Tensor, self.out(self.words(words))).transpose(1, 2)


def motions() -> nn.Module:
    """Of windows."""
    return Motions()


def tagger() -> nn.Module:
    """Of texts."""
    return Tagger()


def values() -> nn.Module:
    """Of rows of eight numbers, to two."""
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, VALUES))


def labels() -> nn.Module:
    """Of rows of eight numbers, to five labels."""
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, LABELS))


def data(name: str, count: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    """Arrays of so many samples that the network of that name can learn, the same each time."""
    random = np.random.default_rng(5)
    if name == "motions":
        motion, time = np.arange(count) % 4, np.arange(50) / 50
        # Faster from motion to motion; where in its course it begins, and how strong it is on each axis, is any.
        wave = np.sin(2 * np.pi * (2 * motion[:, None] + 1) * time + random.uniform(0, 6, (count, 1)))
        x = wave[..., None] * random.uniform(0.7, 1.3, (count, 1, 3)) + 0.1 * random.standard_normal((count, 50, 3))
        people = random.integers(0, count // 10, count)
        names = np.array(["sit", "walk", "run", "jump"])
        return {"x": x.astype(np.float32), "y": motion, "group": people, "classes": names}
    if name == "tagger":
        words = random.integers(0, WORDS, (count, 12))
        tags = words % TAGS
        # What stands behind the end of a text has no tag.
        tags[np.arange(12) >= random.integers(6, 13, (count, 1))] = -1
        return {"x": words.astype(np.int32), "y": tags}
    x = random.standard_normal((count, 8)).astype(np.float32)
    if name == "values":
        y = np.tanh(x @ random.standard_normal((8, VALUES))) + 0.1 * random.standard_normal((count, VALUES))
        return {"x": x, "y": y.astype(np.float32)}
    return {"x": x, "y": (x @ random.standard_normal((8, LABELS)) > 0).astype(np.uint8)}


def focal(output: Tensor, target: Tensor) -> Tensor:
    """Lin et al., "Focal loss for dense object detection", 2017, with γ = 2."""
    own = functional.log_softmax(output, 1).gather(1, target.unsqueeze(1)).squeeze(1)
    return torch.mean(-((1 - own.exp()) ** 2) * own)
