"""Model files of a user, as they find them when they run them as scripts."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest

from device_runtime.formats.sample import one_class, picture
from pipeline.capture.export import export
from pipeline.errors import ModelError
from pipeline.recipe import Preprocessing, Recipe
from pipeline.sources.model_source import build_module, find_model
from pipeline.sources.python_file import files_of, load
from tests.invoking import invoke

MODEL = """
from torch import nn
import beside_width

def small():
    from beside_parts.layers import last
    return Net(last)

class Net(nn.Module):
    def __init__(self, last):
        super().__init__()
        self.last = last(beside_width.WIDTH)

    def forward(self, image):
        import beside_pool
        return self.last(beside_pool.mean(image))
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file that imports what lies beside it: at its top, in the factory and in the forward pass."""
    folder = tmp_path / "a folder für Modelle"
    (folder / "beside_parts").mkdir(parents=True)
    (folder / "beside_width.py").write_text("WIDTH = 3\n")
    (folder / "beside_pool.py").write_text("def mean(image):\n    return image.mean((2, 3))\n")
    (folder / "beside_parts" / "layers.py").write_text("from torch import nn\ndef last(n): return nn.Linear(n, 2)\n")
    (folder / "unread.py").touch()
    (folder / "random.py").write_text(MODEL)
    return folder / "random.py"


def test_it_imports_what_lies_beside_it(model: Path, tmp_path: Path) -> None:
    before = list(sys.path)
    source = find_model(f"{model}:small")
    export(source, Recipe(Preprocessing(4, 4)), picture(4, 4, 3), one_class(2), 1, tmp_path / "export")
    assert (tmp_path / "export" / "forward.onnx").is_file()
    assert sys.path == before
    assert "seed" in dir(__import__("random"))


def test_what_it_imports_counts_among_its_inputs(model: Path) -> None:
    names = [path.relative_to(model.parent).as_posix() for path in files_of(model)]
    assert names == ["beside_parts/layers.py", "beside_pool.py", "beside_width.py", "random.py"]


def test_a_change_beside_it_is_exported(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from torch import nn\n"
        "from beside_size import HIDDEN\n"
        "def small():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN), nn.Linear(HIDDEN, 10))\n"
    )
    for hidden in (5, 7):
        (tmp_path / "beside_size.py").write_text(f"HIDDEN = {hidden}\n")
        run = invoke("export", "--model", f"{tmp_path / 'own.py'}:small", "--build", tmp_path / "build")
        assert run.code == 0, run.stderr
        forward = onnx.load(tmp_path / "build" / "small" / "export" / "forward.onnx")
        assert list(forward.graph.initializer[0].dims) == [hidden, 784]


def test_what_it_fails_with_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text("import beside_nothing\n")
    with pytest.raises(ModelError, match=r"own\.py cannot be imported: ModuleNotFoundError: No module named 'beside_n"):
        load(path)
    path.write_text("def small():\n    raise ValueError('two\\n\\tlines')\ndef ends():\n    raise SystemExit(3)\n")
    with pytest.raises(ModelError, match=r"own\.py:small\(\) failed: ValueError: two lines$"):
        build_module(find_model(f"{path}:small"), 2, 1)
    with pytest.raises(ModelError, match=r"own\.py:ends\(\) failed: SystemExit: 3$"):
        build_module(find_model(f"{path}:ends"), 2, 1)


def test_it_is_run_again_only_when_it_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("COUNT = []\n")
    load(file).COUNT.append(1)
    (tmp_path / "folder").mkdir()
    assert load(tmp_path / "folder" / ".." / "own.py").COUNT == [1]
    file.write_text("COUNT = [0]\n")
    assert load(file).COUNT == [0]


ONCE = """
import torch
from torch import nn

print("loaded", flush=True)

@torch.library.custom_op("once_only::double", mutates_args=())
def double(image: torch.Tensor) -> torch.Tensor:
    return image * 2

def small():
    print("made", flush=True)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
"""


@pytest.mark.slow
def test_a_whole_run_runs_the_file_and_calls_its_factory_once(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(ONCE)
    words = ("run", "--model", f"{tmp_path / 'own.py'}:small", "--cycles", "2")
    run = invoke(*words, "--build", tmp_path / "build", "--runs", tmp_path / "runs")
    assert run.code == 0, run.stderr
    assert run.stdout.splitlines().count("loaded") == 1
    assert run.stdout.splitlines().count("made") == 1
