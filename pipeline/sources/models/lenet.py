"""LeNet-5 as in the MindSpore model zoo, the first example of its Training-on-Device."""

from __future__ import annotations

import torch
from torch import nn

from pipeline.recipe import Preprocessing, Recipe

# Mean and standard deviation of the training images of MNIST, as the model zoo normalises them.
RECIPE = Recipe(
    preprocessing=Preprocessing(height=32, width=32, mean=(0.1307,), std=(0.3081,)),
    batch_size=32,
    cycles=1000,
    learning_rate=1e-3,
)


class LeNet(nn.Module):
    """Two 5×5 convolutions without bias, each followed by ReLU and 2×2 max pooling, and three dense layers."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, bias=False)
        self.conv2 = nn.Conv2d(6, 16, 5, bias=False)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits, float32 N×classes, of `image`, float32 N×1×32×32.

        Raises:
          ValueError: the images have colours.
        """
        if image.shape[1] != 1:
            raise ValueError(
                "lenet takes grey images, as MNIST's are; for photographs give --model transfer --head features, "
                "for sound --model keyword, or a module of your own"
            )
        features = torch.max_pool2d(torch.relu(self.conv1(image)), 2)
        features = torch.max_pool2d(torch.relu(self.conv2(features)), 2)
        hidden = torch.relu(self.fc1(features.flatten(1)))
        hidden = torch.relu(self.fc2(hidden))
        logits: torch.Tensor = self.fc3(hidden)
        return logits


def build(classes: int) -> nn.Module:
    """LeNet-5 with weights from a normal distribution of 0.02 cut at two standard deviations, and biases of 0."""
    model = LeNet(classes)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.trunc_normal_(parameter, std=0.02, a=-0.04, b=0.04)
    return model
