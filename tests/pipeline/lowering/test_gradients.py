"""Each lowered operator gives torch's gradients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.pipeline.lowering.harness import Array, assert_same, by_lowering, by_torch

CLASSES = 5


def head(features: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(features, CLASSES))


def check(module: nn.Module, image: Array, folder: Path) -> None:
    label = np.arange(len(image), dtype=np.int64) % CLASSES
    assert_same(by_lowering(module, image, label, folder), by_torch(module, image, label))


def image_of(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


CONVOLUTIONS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Conv2d(4, 6, 3),
    "without bias": lambda: nn.Conv2d(4, 6, 3, bias=False),
    "padded": lambda: nn.Conv2d(4, 6, 3, padding=1),
    "strided, with a rest": lambda: nn.Conv2d(4, 6, 3, stride=2),
    "strided and padded": lambda: nn.Conv2d(4, 6, 5, stride=2, padding=2),
    "dilated": lambda: nn.Conv2d(4, 6, 3, dilation=2),
    "dilated, strided, padded": lambda: nn.Conv2d(4, 6, 3, dilation=2, stride=3, padding=2),
    "grouped": lambda: nn.Conv2d(4, 6, 3, groups=2),
    "depthwise": lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4),
    "depthwise, strided": lambda: nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4),
    "pointwise": lambda: nn.Conv2d(4, 6, 1),
    "pointwise, few pixels": lambda: nn.Sequential(nn.AvgPool2d(6), nn.Conv2d(4, 6, 1)),
    "uneven kernel": lambda: nn.Conv2d(4, 6, (3, 5), padding=(1, 0)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name: str, tmp_path: Path) -> None:
    image = image_of(3, 3, 12, 13)
    # A convolution before it, so that the tested one has a gradient towards its input.
    layers = [nn.Conv2d(3, 4, 1), CONVOLUTIONS[name]()]
    size = nn.Sequential(*layers)(torch.from_numpy(image)).flatten(1).shape[1]
    check(nn.Sequential(*layers, *head(size)), image, tmp_path)


class Pyramid(nn.Module):
    """One image convolved with the same weights in two ways."""

    def __init__(self, groups: int, **other: int) -> None:
        super().__init__()
        self.before = nn.Conv2d(3, 4, 1)
        self.convolution = nn.Conv2d(4, 4, 3, padding=1, groups=groups)
        self.groups, self.other = groups, other
        self.after = nn.LazyLinear(CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        hidden = torch.relu(self.before(image))
        weight, bias = self.convolution.weight, self.convolution.bias
        first = self.convolution(hidden)
        second = functional.conv2d(hidden, weight, bias, groups=self.groups, **self.other)
        logits: Tensor = self.after(torch.cat([first.flatten(1), second.flatten(1)], 1))
        return logits


@pytest.mark.parametrize("other", [{"stride": 2}, {"dilation": 2, "padding": 2}], ids=["strided", "dilated"])
@pytest.mark.parametrize("groups", [1, 4], ids=["narrow", "depthwise"])
def test_convolutions_that_share_image_and_weights(groups: int, other: dict[str, int], tmp_path: Path) -> None:
    module, image = Pyramid(groups, **other), image_of(3, 3, 7, 8)
    module(torch.from_numpy(image))
    check(module, image, tmp_path)


class Mixed(nn.Module):
    """A depthwise convolution's output, which lies in tiles, beside images that do not, and what reads either."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(3, 4, 3, padding=1)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.norm = nn.BatchNorm2d(4)
        self.pointwise = nn.Conv2d(4, 4, 1)
        self.again = nn.Conv2d(4, 4, 5, padding=2, groups=4)
        self.dense = nn.Conv2d(4, 8, 3, padding=1)
        self.strided = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
        self.after = nn.LazyLinear(CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        by_rows = functional.relu6(self.narrow(image))
        tiled = functional.relu6(self.norm(self.depthwise(by_rows)))
        added = torch.sigmoid(by_rows + tiled)
        both = self.again(tiled) * tiled * tiled.mean((2, 3), keepdim=True)
        hidden = self.dense(torch.tanh(both + self.pointwise(added)))
        logits: Tensor = self.after(self.strided(hidden).flatten(1))
        return logits


@pytest.mark.parametrize("size", [(8, 12), (8, 10), (4, 4)], ids=str)
def test_images_in_tiles_and_by_rows(size: tuple[int, int], tmp_path: Path) -> None:
    module, image = Mixed(), image_of(3, 3, *size)
    module(torch.from_numpy(image))
    check(module, image, tmp_path)


LARGE: dict[str, Callable[[], list[nn.Module]]] = {
    "narrow": lambda: [nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AvgPool2d(30)],
    "depthwise": lambda: [nn.Conv2d(3, 20, 1), nn.Conv2d(20, 20, 3, 2, groups=20), nn.ReLU(), nn.AvgPool2d(30)],
}


@pytest.mark.parametrize("name", LARGE)
def test_convolutions_whose_patches_would_take_too_much_memory(name: str, tmp_path: Path) -> None:
    module = nn.Sequential(*LARGE[name](), nn.Flatten(), nn.LazyLinear(CLASSES))
    image, label = image_of(2, 3, 151, 150), np.arange(2)
    module(torch.from_numpy(image))
    # Sums over 20,000 pixels in float32.
    assert_same(by_lowering(module, image, label, tmp_path), by_torch(module, image, label), 1e-4)


POOLED: dict[str, Callable[[], list[nn.Module]]] = {
    "conv, relu, pool": lambda: [nn.Conv2d(2, 5, 3), nn.ReLU(), nn.MaxPool2d(2)],
    "conv, pool": lambda: [nn.Conv2d(2, 5, 3), nn.MaxPool2d(2)],
    "conv, pool, relu": lambda: [nn.Conv2d(2, 5, 3), nn.MaxPool2d(2), nn.ReLU()],
    "without bias": lambda: [nn.Conv2d(2, 5, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2)],
    "3 by 3 windows": lambda: [nn.Conv2d(2, 5, 2, padding=0), nn.ReLU(), nn.MaxPool2d(3)],
    "padded": lambda: [nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
    "windows that do not tile": lambda: [nn.Conv2d(2, 5, 4), nn.ReLU(), nn.MaxPool2d(2)],
    "overlapping windows": lambda: [nn.Conv2d(2, 5, 3), nn.ReLU(), nn.MaxPool2d(3, stride=2)],
    "padded pooling": lambda: [nn.Conv2d(2, 5, 3), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)],
    "two in a row": lambda: [
        *(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(5, 7, 2), nn.ReLU(), nn.MaxPool2d(2)),
    ],
}


@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
@pytest.mark.parametrize("name", POOLED)
def test_pooled_convolution(name: str, ties: bool, tmp_path: Path) -> None:
    image = image_of(3, 1, 12, 12)
    if ties:
        # Flat areas, as MNIST's background: every window in them holds the same value several times.
        image = np.round(image * 0.6).astype(np.float32)
        image[:, :, 4:] = 1.0
    layers = [nn.Conv2d(1, 2, 1), *POOLED[name]()]
    size = nn.Sequential(*layers)(torch.from_numpy(image)).flatten(1).shape[1]
    check(nn.Sequential(*layers, *head(size)), image, tmp_path)


@pytest.mark.parametrize("kernel", [2, 3])
def test_the_first_of_tied_maxima_takes_the_gradient(kernel: int, tmp_path: Path) -> None:
    image = np.zeros((2, 1, 6, 6), np.float32)
    bias = nn.Conv2d(1, 3, 1)
    size = 3 * (6 // kernel) ** 2
    # The second layer sees where the gradient went: its weights' gradient sums over positions times different inputs.
    check(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), bias, nn.MaxPool2d(kernel), *head(size)), image, tmp_path)


def test_dense_layers(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, CLASSES))
    check(module, image_of(6, 3, 2, 2), tmp_path)


def test_dense_layer_without_bias(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 9, bias=False), nn.ReLU(), nn.Linear(9, CLASSES))
    check(module, image_of(6, 3, 2, 2), tmp_path)
