"""Modules that do what a forward graph cannot say: the check finds what torch does, or they are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_runtime.formats.sample import picture
from pipeline.errors import ModelError
from pipeline.recipe import Preprocessing, Recipe
from pipeline.sources.model_source import ModelSource
from tests.pipeline import stages

PIXELS = picture(6, 6, 1)
RECIPE = Recipe(Preprocessing(6, 6), batch_size=4)
CLASSES = 3

HEADER = """
import torch
from torch import nn
from torch.nn import functional as F

def small():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = small()
        self.head = nn.Linear(64, 3)
        self.prepare()

    def prepare(self):
        pass

    def classify(self, h):
        return self.head(h.flatten(1))
"""

# Body of `class Network(Base)`.
KEPT = {
    "an offset in training alone": """
    def forward(self, x):
        h = self.body(x)
        return self.classify(h + 1 if self.training else h)
""",
    "noise in training alone": """
    def forward(self, x):
        h = self.body(x)
        return self.classify(h + 0.3 * torch.randn_like(h) if self.training else h)
""",
    "stochastic depth": """
    def prepare(self):
        self.extra = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        h = self.body(x)
        if self.training:
            return self.classify(h + self.extra(h) * (torch.rand(h.shape[0], 1, 1, 1) < 0.8))
        return self.classify(h + 0.8 * self.extra(h))
""",
    "no_grad around a part": """
    def forward(self, x):
        with torch.no_grad():
            h = self.body(x)
        return self.classify(h)
""",
    "detach": """
    def forward(self, x):
        return self.classify(self.body(x).detach())
""",
    "a padding row": """
    def prepare(self):
        self.table = nn.Embedding(256, 64, padding_idx=0)

    def forward(self, x):
        return self.head(self.table((x.flatten(1) * 2).long()).mean(1))
""",
    "a momentum of 1": """
    def prepare(self):
        self.norm = nn.BatchNorm2d(4, momentum=1.0)

    def forward(self, x):
        return self.classify(self.norm(self.body(x)))
""",
    "a cumulative mean": """
    def prepare(self):
        self.norm = nn.BatchNorm2d(4, momentum=None)

    def forward(self, x):
        return self.classify(self.norm(self.body(x)))
""",
    "a buffer that forward renews": """
    def prepare(self):
        self.register_buffer("average", torch.zeros(4))

    def forward(self, x):
        h = self.body(x)
        if self.training:
            self.average = 0.9 * self.average + 0.1 * h.mean((0, 2, 3)).detach()
        return self.classify(h - self.average.view(1, 4, 1, 1))
""",
    "a buffer that forward renews in place and nothing reads": """
    def prepare(self):
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        if self.training:
            self.seen += 1
        return self.classify(self.body(x))
""",
    "a frozen normalisation by arithmetic": """
    def prepare(self):
        self.register_buffer("running_mean", torch.rand(1, 4, 1, 1))
        self.register_buffer("running_var", torch.rand(1, 4, 1, 1) + 0.5)

    def forward(self, x):
        return self.classify((self.body(x) - self.running_mean) / self.running_var.sqrt())
""",
    "a straight-through function": """
    class Round(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    def forward(self, x):
        return self.classify(self.Round.apply(self.body(x) * 4))
""",
    "a reversed gradient": """
    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, gradient):
            return -gradient

    def forward(self, x):
        return self.classify(self.Reverse.apply(self.body(x)))
""",
    "hardtanh at its bound": """
    def prepare(self):
        self.body = nn.Conv2d(1, 4, 3)
        nn.init.zeros_(self.body.bias)

    def forward(self, x):
        black = torch.cat([x[:, :, :3] * 0, x[:, :, 3:]], 2)
        return self.classify(F.hardtanh(self.body(black), 0.0, 0.2))
""",
    "a frozen layer that train() keeps in training": """
    def prepare(self):
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        for parameter in self.body.parameters():
            parameter.requires_grad_(False)

    def forward(self, x):
        return self.classify(self.body(x))
""",
}

# And what the refusal says.
REFUSED = {
    "a branch on values": (
        """
    def forward(self, x):
        h = self.body(x)
        return self.classify(h if x.sum() < 10 else 2 * h)
""",
        "branches on the values of a tensor at ",
    ),
    "the same part is drawn again in evaluation": (
        """
    def forward(self, x):
        h = self.body(x)
        return self.classify(h * torch.rand_like(h))
""",
        "draws random numbers in evaluation too",
    ),
}


def written(body: str, folder: Path) -> ModelSource:
    text = f"{HEADER}\nclass Network(Base):{body}\ndef network():\n    return Network()\n"
    return stages.module_of(text, folder)


@pytest.mark.parametrize("name", KEPT)
def test_what_a_forward_graph_cannot_say_is_as_in_torch(name: str, tmp_path: Path) -> None:
    source = written(KEPT[name], tmp_path)
    stages.build_unchecked(source, RECIPE, PIXELS, CLASSES, tmp_path)
    found = stages.check(source, RECIPE, PIXELS, CLASSES, tmp_path).largest
    assert found["gradients"] < 1e-4
    assert found["logits"] < 1e-5


@pytest.mark.parametrize("name", REFUSED)
def test_what_trains_otherwise_than_in_torch_is_refused_by_name(name: str, tmp_path: Path) -> None:
    body, expected = REFUSED[name]
    source = written(body, tmp_path)
    with pytest.raises(ModelError) as caught:
        stages.build(source, RECIPE, PIXELS, CLASSES, tmp_path)
    assert expected in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)
