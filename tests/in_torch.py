"""What torch makes of a state dict that a training left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

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
