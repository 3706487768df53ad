"""The rivals train the same network: their losses are torch's; those that are not installed are left out."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from device_runtime.formats.sample import one_class, picture
from pipeline.bench.building import build_network
from pipeline.bench.networks import Measured
from pipeline.bench.rivals import executorch_rival, jax_rival, reference_rival, torch_rival
from pipeline.bench.rivals.module import module_to_train
from pipeline.bench.rivals.task import Step, Task, Unavailable, missing
from pipeline.capture.export import export
from pipeline.capture.onnx.artifacts import build_artifacts
from pipeline.lowering.model_folder import build_model_folder
from pipeline.optimizers import Optimizer
from pipeline.recipe import Preprocessing, Recipe
from pipeline.settings import Settings
from pipeline.sources import model_source
from pipeline.sources.model_source import ModelSource
from tests.pipeline.stages import module_of

STEPS = 5

NETWORK = """
from torch import nn

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation="gelu", batch_first=True)
    def forward(self, x):
        return self.layer(x.flatten(2).transpose(1, 2)).mean(1)

def network():
    first = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish(), nn.Conv2d(8, 8, 3, 1, 1, groups=8)
    others = nn.MaxPool2d(2), nn.SiLU(), Attention(), nn.Linear(8, 10)
    return nn.Sequential(*first, *others)
"""

OPTIMIZERS = (Optimizer("adam"), Optimizer("sgd", (("momentum", 0.9), ("weight_decay", 0.1))))


@pytest.fixture(scope="module", params=OPTIMIZERS, ids=lambda optimizer: optimizer.name)
def task(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Task:
    folder = tmp_path_factory.mktemp("rivals")
    return made(module_of(NETWORK, folder), Recipe(Preprocessing(16, 16), request.param, batch_size=4), folder)


def made(source: ModelSource, recipe: Recipe, folder: Path) -> Task:
    pixels, exported, package = picture(16, 16, 3), folder / "export", folder / "package-x86"
    export(source, recipe, pixels, one_class(10), 1, exported, True)
    build_artifacts(exported, recipe, 10, folder / "artifacts")
    package.mkdir()
    build_model_folder(source.name, recipe, pixels, one_class(10), exported, folder / "artifacts", package / "model")
    task = Task(source, recipe, pixels, one_class(10), 1, package, exported)
    task.save()
    return Task.load(task.file)


def losses(step: Step) -> list[float]:
    return [float(str(step())) for _ in range(STEPS)]


def torchs(task: Task, way: torch_rival.Way) -> list[float]:
    return losses(torch_rival._step(untrained(task), way))


def untrained(task: Task) -> Task:
    """The task, whose module another rival may have trained: each has a process of its own otherwise."""
    model_source._built.cache_clear()
    return task


@pytest.fixture
def expected(task: Task, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    for rival in (executorch_rival, jax_rival, reference_rival, torch_rival):
        monkeypatch.setattr(rival, "LEARNING_RATE", 1e-2)
    found = torchs(task, torch_rival.Way(channels_last=False, fused=False))
    assert found[0] - found[-1] > 1e-3
    return found


def test_torch_in_another_way_trains_the_same(task: Task, expected: list[float]) -> None:
    assert torchs(task, torch_rival.Way(channels_last=True, fused=True)) == pytest.approx(expected, abs=1e-3)


def test_jax_trains_the_same(task: Task, expected: list[float]) -> None:
    pytest.importorskip("jax")
    # Adam makes a whole step of a gradient that is rounding alone, as that of the bias of attention's keys.
    assert losses(jax_rival.step(task, 1)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.name)
def test_executorch_trains_the_same(optimizer: Optimizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("executorch")
    for rival in (executorch_rival, torch_rival):
        monkeypatch.setattr(rival, "LEARNING_RATE", 1e-2)
    # ExecuTorch 1.5.1 adds the gradient of max pooling to memory that it has not cleared.
    text = NETWORK.replace("Attention()", "nn.AdaptiveAvgPool2d(1), nn.Flatten()").replace("nn.SiLU(), ", "")
    text = text.replace("nn.MaxPool2d(2)", "nn.Hardswish()")
    without = module_of(text, tmp_path)
    task = made(without, Recipe(Preprocessing(16, 16), optimizer, batch_size=4), tmp_path)
    expected = torchs(task, torch_rival.Way(channels_last=False, fused=False))
    assert losses(executorch_rival.step(untrained(task), 1)) == pytest.approx(expected, abs=1e-4)


def test_executorch_names_the_kernels_that_it_lacks(task: Task) -> None:
    pytest.importorskip("executorch")
    with pytest.raises(Unavailable, match="its export fails: ExecuTorch has no kernel of aten::empty_permuted"):
        executorch_rival.step(untrained(task), 1)


def test_the_fastest_way_is_one_that_torch_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_rival, "CHOICE_S", 0.0)
    recipe = Recipe(Preprocessing(16, 16), Optimizer("rmsprop"), batch_size=4)
    source = module_of(NETWORK, tmp_path)
    # torch has no fused RMSprop.
    assert not torch_rival._choose(Task(source, recipe, picture(16, 16, 3), one_class(10), 1, tmp_path, tmp_path)).fused


def test_what_the_recipe_freezes_stands_still_in_torch_too(tmp_path: Path) -> None:
    recipe = Recipe(Preprocessing(16, 16), trainable=("7.*",))
    module = module_to_train(
        Task(module_of(NETWORK, tmp_path), recipe, picture(16, 16, 3), one_class(10), 1, tmp_path, tmp_path)
    )
    assert [name for name, p in module.named_parameters() if p.requires_grad] == ["7.weight", "7.bias"]
    assert not module.get_submodule("1").training


def test_an_onnx_file_is_no_module(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(b"")
    source = ModelSource("own", onnx_file=tmp_path / "own.onnx")
    task = Task(source, Recipe(Preprocessing(16, 16)), picture(16, 16, 3), one_class(10), 1, tmp_path, tmp_path)
    for make in (torch_rival.eager_step, torch_rival.compiled_step, executorch_rival.step):
        with pytest.raises(Unavailable, match="is an ONNX file"):
            make(task, 1)


@pytest.mark.parametrize(("package", "begin"), [("jax", jax_rival.begin), ("executorch", executorch_rival.begin)])
def test_what_is_not_installed_says_how_to_come_by_it(package: str, begin: object) -> None:
    if importlib.util.find_spec(package):
        pytest.skip(f"{package} is installed")
    assert callable(begin)
    with pytest.raises(Unavailable, match=f"pip install {package}"):
        begin(1)
    assert str(missing(package)) == f"not installed: `python -m pip install {package}` beside this program"


def test_onnxruntime_training_is_measured_also_where_its_engine_would_not_train_rightly(tmp_path: Path) -> None:
    # Of batch normalisation it keeps no running statistics, so that packages leave its artifacts out.
    source = module_of(
        "from torch import nn\ndef network():\n    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), "
        "nn.ReLU(), nn.Flatten(), nn.Linear(64, 10))\n",
        tmp_path,
    )
    model, recipe = f"{source.python_file}:{source.factory}", Recipe(Preprocessing(6, 6), batch_size=3)
    measured = Measured("network", "a network", model, recipe, picture(6, 6, 1), 10, ("onnxruntime-training",))
    built = build_network(measured, Settings(build=tmp_path / "build"))
    assert built.task.lacks_reference == ""
    assert not (built.package / "model" / "reference").exists()
    assert losses(reference_rival.step(built.task, 1))


def test_why_onnxruntime_training_does_not_run_is_said(tmp_path: Path) -> None:
    source = module_of(NETWORK, tmp_path)
    made = (source, Recipe(Preprocessing(16, 16)), picture(16, 16, 3), one_class(10), 1, tmp_path, tmp_path)
    with pytest.raises(Unavailable, match="it has no gradient of TopK"):
        reference_rival.step(Task(*made, lacks_reference="it has no gradient of TopK"), 1)
