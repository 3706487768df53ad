"""Each layer and function of torch trains as torch trains it, or is refused by name."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn
from torch.nn import functional

from device_runtime.formats.sample import picture
from pipeline.errors import PipelineError
from pipeline.recipe import Optimizer, Preprocessing, Recipe
from pipeline.sources.model_source import ModelSource
from tests.pipeline import stages
from tests.pipeline.lowering.operator_table import PAGE, page_with
from tests.sweep import as_written, functions, layers, table, tensors
from tests.sweep.case import CHANNELS, CLASSES, SIDE, Case

RECIPE = Recipe(Preprocessing(SIDE, SIDE), Optimizer("sgd"), batch_size=6, learning_rate=1e-2)
PIXELS = picture(SIDE, SIDE, CHANNELS)

SWEEP: tuple[tuple[ModuleType, dict[str, Case]], ...] = (
    (layers, layers.LAYERS),
    (functions, functions.FUNCTIONS),
    (tensors, tensors.TENSORS),
    (as_written, as_written.AS_WRITTEN),
)
# Of so many names of a kind one is tried each time, always the same.
ONE_OF = {"layers": 4, "functions": 6, "tensors": 12, "as_written": 6}


def tried() -> list[object]:
    """Of each chosen name its first case; every case by `SWEEP=all pytest tests/sweep`, which takes most of an hour."""
    chosen: list[object] = []
    for module, cases in SWEEP:
        kind = module.__name__.rpartition(".")[2]
        names = list(cases)
        if os.environ.get("SWEEP") != "all":
            firsts = {name.partition(",")[0]: name for name in reversed(names)}
            names = list(firsts.values())[:: -ONE_OF[kind]]
        chosen += [pytest.param(module, name, id=f"{kind}-{name}") for name in names]
    return chosen


@pytest.mark.parametrize(("module", "name"), tried())
def test_it_trains_as_in_torch_or_is_refused(module: ModuleType, name: str, tmp_path: Path) -> None:
    cases = next(cases for other, cases in SWEEP if other is module)
    source = ModelSource("tried", python_file=Path(str(module.__file__)), factory=name)
    if not cases[name].refused:
        stages.build(source, RECIPE, PIXELS, CLASSES, tmp_path)
        return
    with pytest.raises(PipelineError) as caught:
        stages.build(source, RECIPE, PIXELS, CLASSES, tmp_path)
    assert cases[name].refused in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_layer_is_left_out() -> None:
    tried = {name.partition(",")[0] for name in layers.LAYERS}
    classes = {name for name, kind in vars(nn).items() if isinstance(kind, type) and issubclass(kind, nn.Module)}
    assert not tried & layers.ELSEWHERE.keys()
    assert tried | layers.ELSEWHERE.keys() == classes


def test_no_function_of_torch_is_left_out() -> None:
    public = {name for name, value in vars(functional).items() if callable(value) and not name.startswith("_")}
    tried = {name.partition(",")[0] for name in functions.FUNCTIONS}
    assert public <= tried | functions.ELSEWHERE.keys()
    assert functions.ELSEWHERE.keys() <= public - tried


def test_the_page_has_what_is_tried() -> None:
    told = {name for _, _, kinds in table.PARTS for cases in kinds.values() for name in cases}
    assert told == {name for _, cases in SWEEP for name in cases}
    assert PAGE.read_text() == page_with(table.render(), table.WRITER), (
        "docs/operators.md is not what the sweep tries: python -m tests.sweep.table"
    )
