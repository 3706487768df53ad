"""What packaging takes of the host's memory, in processes of their own: told in sizes of the weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.invoking import ROOT

NETWORK = """
from torch import nn

def network():
    layers = [nn.Sequential(nn.Linear({width}, {width}), nn.ReLU()) for _ in range(24)]
    return nn.Sequential(nn.Flatten(), nn.Linear(192, {width}), *layers, nn.Linear({width}, 4))
"""

PACKAGING = """
import sys
from pathlib import Path
from device_runtime.formats.sample import picture
from device_runtime.metrics import peak_memory_bytes
from pipeline.machine.memory import return_what_is_freed
from pipeline.recipe import Preprocessing, Recipe
from pipeline.sources.model_source import find_model
from tests.pipeline import stages

folder, *trainable = sys.argv[1:]
return_what_is_freed()
source = find_model(f"{folder}/own.py:network")
recipe = Recipe(Preprocessing(8, 8), trainable=tuple(trainable), batch_size=2)
stages.build(source, recipe, picture(8, 8, 3), 4, Path(folder))
print(peak_memory_bytes())
"""

WIDTH = 1024
WEIGHTS_BYTES = 24 * 4 * WIDTH**2
# The module, a copy of it, the gradients of one, and a checkpoint that is written; not one for each step and graph.
MOST = 4.5


def packaged(width: int, folder: Path, *trainable: str) -> int:
    """Packages a network and returns the peak memory of the process."""
    (folder / "own.py").write_text(NETWORK.format(width=width))
    command = [sys.executable, "-c", PACKAGING, str(folder), *trainable]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> int:
    """What packaging a small network takes."""
    return packaged(8, tmp_path_factory.mktemp("small"), "*")


@pytest.mark.parametrize("trainable", [("*",), ("1.*", "26.*")], ids=["all train", "frozen between"])
def test_packaging_takes_a_few_times_the_weights(trainable: tuple[str, ...], base: int, tmp_path: Path) -> None:
    peak = packaged(WIDTH, tmp_path, *trainable)
    assert (peak - base) / WEIGHTS_BYTES < MOST
    frozen = tmp_path / "model" / "frozen.bin"
    assert frozen.is_file() == (trainable != ("*",))
    # No copy of them anywhere else but in the checkpoint, or in the file of frozen ones.
    size = sum(path.stat().st_size for path in frozen.parent.iterdir())
    assert size < 1.1 * WEIGHTS_BYTES
