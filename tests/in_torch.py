"""What torch makes of a state dict that a training left, and of a whole training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from device_runtime.batches import Batches
from device_runtime.formats.dataset import load_dataset
from pipeline.sources.models import lenet


def lenet_accuracy(state: Path, dataset: Path) -> float:
    """The share of the test images that LeNet of torch gets right with these weights, all in torch."""
    module = lenet.build(10)
    module.load_state_dict(load_file(state))
    size = lenet.RECIPE.preprocessing
    test = load_dataset(dataset).splits["test"]
    pixels, label = test.batch(np.arange(len(test)))
    image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() * size.scale
    resized = torch.nn.functional.interpolate(image, (size.height, size.width), mode="bilinear")
    with torch.no_grad():
        logits = module.eval()((resized - size.mean[0]) / size.std[0])
    return float((logits.argmax(1).numpy() == label).mean())


def train(
    module: nn.Module,
    dataset: Path,
    steps: int,
    batch_size: int,
    rate: float,
    loss_of: Callable[[Tensor, Tensor], Tensor],
) -> list[float]:
    """Trains on arrays by a plain loop with Adam, in the runner's order of batches; returns each step's loss."""
    split = load_dataset(dataset).splits["train"]
    batches, optimizer = Batches(len(split), batch_size, 1), torch.optim.Adam(module.parameters(), rate)
    losses: list[float] = []
    for step in range(1, steps + 1):
        x, y = (torch.from_numpy(part) for part in split.batch(batches.indices(step)))
        loss = loss_of(module(x), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    return losses


def r2(module: nn.Module, dataset: Path, split: str) -> float:
    """Of a module's values on a split of arrays, the mean over the values."""
    own = load_dataset(dataset).splits[split]
    x, y = own.batch(np.arange(len(own)))
    with torch.no_grad():
        output = module(torch.from_numpy(x)).numpy().astype(np.float64)
    return float(np.mean(1 - ((output - y) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0)))
