"""What a module does beside its result, or by the size of the batch, is refused by name; its hooks are obeyed."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_runtime.formats.sample import picture
from pipeline.checking.reference_check import check_reference
from pipeline.errors import PipelineError, UsageError
from pipeline.recipe import Optimizer, Preprocessing, Recipe
from pipeline.sources.model_source import ModelSource
from tests.pipeline import stages

SIDE, CLASSES = 6, 4
PIXELS = picture(SIDE, SIDE, 1)
RECIPE = Recipe(Preprocessing(SIDE, SIDE), Optimizer("adam"))

TEXT = """
import itertools, random, time
import numpy as np
import torch
from torch import nn

clock = itertools.count()

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(36, 12), nn.Linear(12, 4)
        self.calls, self.ready, self.average = 0, False, None
{made}
    def forward(self, x):
        h = torch.relu(self.first(x.flatten(1)))
{done}
        return self.head(h)

def network():
    return Network()
"""

REFUSED = {
    "a counter": ("self.calls += 1; h = h * 2 if self.calls > 10 else h", "the model itself counts in 'calls'"),
    "a flag": ("h = h if self.ready else h * 2; self.ready = True", "the model itself counts in 'ready'"),
    "Python's random numbers": ("h = h * random.random()", "draws random numbers from Python or numpy"),
    "numpy's random numbers": ("h = h * float(np.random.rand())", "draws random numbers from Python or numpy"),
    "numbers from elsewhere": ("h = h * (1 + next(clock) % 7)", "gives another result each time"),
    "a seed": ("if self.training: torch.manual_seed(5); h = h + torch.rand_like(h)", "sets torch's seed"),
    "a weight kept small": (
        "self.head.weight.data = torch.renorm(self.head.weight.data, 2, 0, 100.0)",
        "forward itself changes the parameter head.weight",
    ),
    "a weight changed in place": (
        "with torch.no_grad(): self.head.weight.clamp_(-1, 1)",
        "forward changes a parameter in place",
    ),
    "a tensor kept in Python": (
        "m, a = h.detach().mean(0), self.average; self.average = m if a is None else a * 0.9 + m; h = h - self.average",
        "forward keeps a tensor that is no buffer between runs",
    ),
    "a branch on the batch": (
        "h = h * 2 if x.shape[0] > 12 else h",
        "for a batch of 2 images and another for one of 16",
    ),
    "a loop over the batch": ("h = torch.stack([row * 2 for row in h])", "another for one of 3"),
    "the batch as a number": ("h = h / len(x) ** 0.5", "x.shape[0], which len(x) is not"),
}


def module_with(done: str, folder: Path, made: str = "pass") -> ModelSource:
    text = TEXT.replace("{made}", f"        {made}").replace("{done}", f"        {done}")
    return stages.module_of(text, folder)


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_graph_does_is_refused_by_name(name: str, tmp_path: Path) -> None:
    done, message = REFUSED[name]
    with pytest.raises(PipelineError) as caught:
        stages.build(module_with(done, tmp_path), RECIPE, PIXELS, CLASSES, tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


TRAINED = {
    "a mask on a gradient": "self.head.weight.register_hook(lambda g: g * (torch.arange(12) % 2))",
    "a gradient that is clipped": "self.first.weight.register_hook(lambda g: g.clamp(-1e-3, 1e-3))",
    "a buffer that is not saved": "self.register_buffer('seen', torch.zeros(12), persistent=False)",
}


@pytest.mark.parametrize("name", TRAINED)
def test_what_torch_obeys_is_obeyed(name: str, tmp_path: Path) -> None:
    done = "if self.training and hasattr(self, 'seen'): self.seen.add_(h.detach().mean(0)); h = h + self.seen"
    found = stages.build(module_with(done, tmp_path, TRAINED[name]), RECIPE, PIXELS, CLASSES, tmp_path)
    assert found.is_dir()


def test_a_hook_that_only_torch_runs_is_refused(tmp_path: Path) -> None:
    made = "self.head.weight.register_post_accumulate_grad_hook(lambda p: p.grad.mul_(0.5))"
    with pytest.raises(PipelineError, match=r"run in torch alone: head\.weight; use register_hook"):
        stages.build(module_with("pass", tmp_path, made), RECIPE, PIXELS, CLASSES, tmp_path)


LOST = {
    "a gradient that stops": ("h = h.detach() * 0.5 + h * 0.5", "the gradient of first."),
    "what is training's alone": ("h = h + 0.5 if self.training else h", "evaluation's logits"),
}


@pytest.mark.parametrize("name", LOST)
def test_the_reference_engine_is_refused_where_it_trains_another_network(name: str, tmp_path: Path) -> None:
    done, message = LOST[name]
    with pytest.raises(UsageError, match=rf"--engine reference would train another network.*{message}"):
        compare_with_reference(module_with(done, tmp_path), tmp_path)


@pytest.mark.parametrize("done", ["pass", "h = nn.functional.dropout(h, 0.3, self.training)"], ids=["plain", "dropout"])
def test_the_reference_engine_is_allowed_where_it_trains_the_same(done: str, tmp_path: Path) -> None:
    compare_with_reference(module_with(done, tmp_path), tmp_path)


def compare_with_reference(source: ModelSource, folder: Path) -> None:
    stages.build_unchecked(source, RECIPE, PIXELS, CLASSES, folder, reference=True)
    check_reference(RECIPE, CLASSES, stages.random_batches(RECIPE, PIXELS, CLASSES, folder), stages.made_in(folder))
