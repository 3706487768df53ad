"""The runner in JavaScript, in Node: it is typed, gives the vectors, and trains as the Python runner does."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from device_runtime.formats.checkpoint import read_checkpoint
from device_runtime.formats.model import read_model
from device_runtime.formats.options import Options
from device_runtime.formats.predictions import read_predictions
from tests.device_runtime.interrupted import flip_bits, killed_after, records, trained
from tests.device_runtime.small_model import write_package
from tests.invoking import Invoked, invoke, losses
from tests.web_runtime.javascript import JavaScript, installed, run

# As it is written, and as what a loss is after some hundred updates of another order of additions.
TOLERANCE = 1e-4

# Options of the Python runner whose place is on a device, in a fleet or in Python.
ELSEWHERE = {"data", "output", "verbose", "engine", "loop", "while_charging", "between", "min_battery"}
ELSEWHERE |= {"max_battery_temp", "stay_awake", "round_dtype", "on_test", "proximal_mu", "progress"}

# What is not the same in two trainings of one kind.
OWN = ("run", "time", "seconds", "file", "peak_memory_bytes", "base_memory_bytes")

# A frozen backbone with running statistics before it, and a head with statistics of its own and dropout.
MODULE = """
from torch import nn


def net():
    backbone = nn.Sequential(nn.Conv2d(1, 4, 5, 2), nn.BatchNorm2d(4), nn.ReLU())
    head = nn.Sequential(
        nn.Conv2d(4, 8, 5, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(128, 10)
    )
    return nn.Sequential(backbone, head)
"""

# A second of sound, in parts whose loudness is learnt.
SOUND_MODULE = """
from torch import nn

from pipeline.recipe import Preprocessing, Recipe

RECIPE = Recipe(Preprocessing(1, 1), batch_size=8, cycles=20, learning_rate=0.01)


class Loudness(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(16, 2)

    def forward(self, sound):
        return self.dense((sound / 2**15).reshape(-1, 16, 1000).abs().mean(2))


net = Loudness
"""


@pytest.fixture(scope="session")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> JavaScript:
    if not (shutil.which("node") and shutil.which("npm")) and not os.environ.get("CI"):
        pytest.skip("Node and npm are not on this machine")
    return installed(tmp_path_factory.mktemp("javascript"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that trains in milliseconds."""
    return write_package(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def backbone(made_of: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The x86 package of a network with a frozen backbone, running statistics, dropout and a clipped gradient."""
    folder = tmp_path_factory.mktemp("backbone")
    (folder / "net.py").write_text(MODULE)
    words = ("--model", f"{folder / 'net.py'}:net", "--trainable", "1.*", "--clip-norm", "0.5", *made_of[2:])
    made = invoke("package", "--build", folder / "build", *words)
    assert made.code == 0, made.stderr
    assert json.loads((folder / "build/package-x86/model/model.json").read_text())["features"]
    return folder / "build/package-x86"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The x86 package of a small network for seconds of sound, with noise to mix in."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / "net.py").write_text(SOUND_MODULE)
    random = np.random.default_rng(0)
    for word, place in (("early", 0), ("late", 8000)):
        (folder / "data" / word).mkdir(parents=True)
        for number in range(40):
            samples = np.zeros(16000, np.int16)
            samples[place : place + 8000] = random.integers(-(2**14), 2**14, 8000, np.int16)
            soundfile.write(folder / "data" / word / f"{number}_nohash_0.wav", samples, 16000)
    (folder / "data" / "_background_noise_").mkdir()
    noise = random.integers(-(2**15), 2**15, 80_000, np.int16)
    soundfile.write(folder / "data" / "_background_noise_" / "white.wav", noise, 16000)
    words = ("--model", f"{folder / 'net.py'}:net", "--data", folder / "data")
    made = invoke("package", "--build", folder / "build", *words)
    assert made.code == 0, made.stderr
    return folder / "build/package-x86"


def in_python(package: Path, output: Path, *words: str) -> Invoked:
    """Trains by the Python runner, on one thread: a package's own, where it has one."""
    if (package / "train.sh").exists():
        return run(package / "train.sh", "--output", output, "--threads", "1", *words, cwd=output.parent)
    paths = ("-f", package / "model", "-d", package / "dataset", "--output", output)
    return run("python", "-m", "device_runtime", *paths, "--threads", "1", *words, cwd=Path.cwd())


def told(done: Invoked) -> list[str]:
    """The lines that both runners print."""
    assert done.code == 0, done.stderr
    lines = [re.sub(r"time = .*", "", line) for line in done.stdout.splitlines()]
    return [line for line in lines if not line.startswith("trained: ")]


def numbers(metrics: Path) -> list[dict[str, Any]]:
    """The records of a run without what is its own, and without the state of the device."""
    told = [record for record in map(json.loads, metrics.read_text().splitlines()) if record["event"] != "device"]
    return [{name: value for name, value in record.items() if name not in OWN} for record in told]


def near(one: Any, other: Any) -> bool:
    """Whether two values of records are the same to rounding."""
    is_loss = isinstance(one, float) and isinstance(other, float)
    return abs(one - other) <= TOLERANCE if is_loss else bool(one == other)


def assert_same_records(ours: Path, theirs: Path) -> None:
    """Compares the metrics of a run in both languages."""
    found, wanted = numbers(ours), numbers(theirs)
    assert [record["event"] for record in found] == [record["event"] for record in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one.keys() == other.keys()
        assert not {name: (one[name], other[name]) for name in one if not near(one[name], other[name])}


def assert_same_training(javascript: JavaScript, package: Path, folder: Path, words: Sequence[str]) -> None:
    """Trains in both languages: lines, records, checkpoints and predictions are the same."""
    ours, theirs = folder / "javascript", folder / "python"
    printed = told(javascript.train(package, ours, *words))
    assert printed == told(in_python(package, theirs, *words))
    assert_same_records(ours / "metrics.jsonl", theirs / "metrics.jsonl")
    names = {path.name for path in theirs.iterdir()}
    assert names == {path.name for path in ours.iterdir()}
    model = read_model(package / "model")
    for name in names:
        if name.endswith(".safetensors"):
            mine, yours = (read_checkpoint(output / name, model) for output in (ours, theirs))
            np.testing.assert_allclose(mine.parameters, yours.parameters, atol=TOLERANCE)
            assert {**mine.run.plan} == {**yours.run.plan}
        elif name.startswith("predictions"):
            (_, mine_of), (_, yours_of) = (read_predictions(output / name) for output in (ours, theirs))
            np.testing.assert_array_equal(mine_of.labels, yours_of.labels)
            np.testing.assert_allclose(mine_of.probabilities, yours_of.probabilities, atol=TOLERANCE)


def test_it_is_typed(javascript: JavaScript) -> None:
    done = run("npx", "tsc", "-p", "../../web_runtime", cwd=javascript.folder / "examples/node")
    assert done.code == 0, done.stdout


def test_a_wrong_type_is_seen(javascript: JavaScript) -> None:
    wrong = javascript.folder / "web_runtime/wrong.js"
    wrong.write_text("import { general } from './lines.js';\n\ngeneral('1');\n")
    done = run("npx", "tsc", "-p", "../../web_runtime", cwd=javascript.folder / "examples/node")
    wrong.unlink()
    assert "wrong.js(3,9)" in done.stdout


def test_it_gives_the_vectors(javascript: JavaScript) -> None:
    done = javascript.node("--test", "tests/web_runtime/")
    assert done.code == 0, done.stdout
    assert int(re.findall(r"pass (\d+)", done.stdout)[0]) >= 12


def test_it_has_the_options_that_have_a_place_there(javascript: JavaScript) -> None:
    program = (
        "import('./web_runtime/options.js').then(({OPTIONS}) => console.log(JSON.stringify(Object.keys(OPTIONS))))"
    )
    assert {*json.loads(javascript.node("-e", program).stdout)} | ELSEWHERE == {each.name for each in fields(Options)}


@pytest.mark.parametrize(
    "words",
    [
        "--cycles 30",
        "--epochs 3 --learning-rate 0.05 --schedule cosine --warmup 4",
        "--cycles 40 --batch-size 4 --accumulate 3 --seed 7 --schedule step",
        "--cycles 40 --save-every 10 --keep 2 --evaluate-every 5 --best --patience 3",
        "--epochs 4 --target-accuracy 0.4 --learning-rate 0.01",
        "--cycles 20 --augment flip,crop --seed 9007199254740991",
    ],
)
def test_a_training_is_that_of_the_python_runner(
    words: str, javascript: JavaScript, tiny: Path, tmp_path: Path
) -> None:
    assert_same_training(javascript, tiny, tmp_path, words.split())


@pytest.mark.slow
def test_lenet_trains_to_the_same_losses_and_x86_evaluates_what_it_trained(
    javascript: JavaScript, package: Path, tmp_path: Path
) -> None:
    assert_same_training(javascript, package, tmp_path, ["--cycles", "100"])
    trained_there = tmp_path / "javascript" / "lenet_trained_100.safetensors"
    done = run(package / "eval.sh", "-f", trained_there, "--threads", "1", cwd=tmp_path)
    assert done.accuracies == [record["accuracy"] for record in records(tmp_path / "javascript", "evaluation")]


@pytest.mark.slow
def test_several_updates_are_one_call(javascript: JavaScript, package: Path, tmp_path: Path) -> None:
    assert_same_training(javascript, package, tmp_path, ["--cycles", "30", "--sink-size", "8"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", ["--cycles 40", "--cycles 20 --augment flip,crop --accumulate 2", "--no-cache --cycles 9"]
)
def test_a_frozen_backbone_statistics_dropout_and_a_clipped_gradient_are_the_same(
    words: str, javascript: JavaScript, backbone: Path, tmp_path: Path
) -> None:
    assert_same_training(javascript, backbone, tmp_path, words.split())


@pytest.mark.slow
@pytest.mark.parametrize("words", ["--cycles 30 --augment shift,noise", "--epochs 2 --augment noise --seed 3"])
def test_sound_is_moved_and_mixed_with_noise_in_the_same_way(
    words: str, javascript: JavaScript, sound: Path, tmp_path: Path
) -> None:
    assert_same_training(javascript, sound, tmp_path, words.split())


@pytest.mark.parametrize("step", [0, 30])
def test_an_evaluation_says_and_records_the_same(
    step: int, javascript: JavaScript, package: Path, tmp_path: Path
) -> None:
    ours, theirs = tmp_path / "javascript", tmp_path / "python"
    assert javascript.train(package, ours, "--cycles", "30").code == 0
    name = "lenet_trained_30.safetensors"
    mine, yours = (("--file", name), ("-f", ours / name)) if step else ((), ())
    printed = told(javascript.train(package, ours, "--cycles", "0", *mine))
    assert printed == told(in_python(package, theirs, "--cycles", "0", *map(str, yours)))
    assert printed[0].startswith("f1 of each: 0 " if step else "accuracy = ")
    file = f"evaluation_{step}.jsonl"
    assert_same_records(ours / file, theirs / file)
    assert [record["event"] for record in numbers(ours / file)] == ["start", "evaluation", *["class"] * 10, "end"]


OPTIONS = ("--cycles", "30", "--save-every", "10", "--schedule", "cosine", "--augment", "flip")


@pytest.mark.parametrize("begins", ["python", "javascript"])
@pytest.mark.parametrize("goes_on", ["python", "javascript"])
def test_a_training_that_was_killed_goes_on_in_either_language(
    begins: str, goes_on: str, javascript: JavaScript, tiny: Path, tmp_path: Path
) -> None:
    def train(language: str, output: Path, *words: str) -> Invoked:
        return (in_python if language == "python" else javascript.train)(tiny, output, *words)

    assert train(begins, tmp_path / "whole", *OPTIONS).code == 0
    killed_after(tmp_path / "whole", tmp_path / "killed", 20, lines_more=3)
    done = train(goes_on, tmp_path / "killed", "--resume")
    assert done.code == 0, done.stderr
    assert "going on after step 20, to step 30" in done.stdout
    if begins == goes_on:
        assert trained(tmp_path / "killed") == trained(tmp_path / "whole")
    found, wanted = losses(tmp_path / "killed"), losses(tmp_path / "whole")
    assert len(found) == len(wanted) == 30
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE)


def test_a_damaged_checkpoint_is_passed_over(javascript: JavaScript, tiny: Path, tmp_path: Path) -> None:
    javascript.train(tiny, tmp_path / "whole", *OPTIONS)
    killed_after(tmp_path / "whole", tmp_path / "killed", 20)
    flip_bits(tmp_path / "killed" / "tiny_trained_20.safetensors")
    done = javascript.train(tiny, tmp_path / "killed", "--resume")
    assert "its content is not what its digest says" in done.stdout
    assert "going on after step 10" in done.stdout
    assert trained(tmp_path / "killed") == trained(tmp_path / "whole")


def test_another_training_in_the_folder_is_set_aside(javascript: JavaScript, tiny: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert javascript.train(tiny, tmp_path, "--cycles", "5").code == 0
    (earlier,) = tmp_path.glob("earlier-*")
    assert {path.name for path in earlier.iterdir()} == {path.name for path in tmp_path.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--cycels 3", "--cycels is no option of this runner"),
        ("--cycles -3", "--cycles -3: give a whole number of at least 0"),
        ("--cycles 3 --epochs 1", "give --cycles or --epochs, not both"),
        ("--batch-size 1000", "the training split has 90 images, a step takes 1000: give a smaller --batch-size"),
        ("--cycles 3 --learning-rate 1e38", "training diverged; no checkpoint was saved before: give a smaller"),
        ("--resume", "there is no training to go on with"),
        ("--cycles 3 --augment noise", "--augment noise is not for samples of 4 × 4 × 1, which flip and crop change"),
        ("--cycles 3 --augment crop,shift", "give flip, crop, of sound shift, noise, both with a comma, or none"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    words: str, said: str, javascript: JavaScript, tiny: Path, tmp_path: Path
) -> None:
    done = javascript.train(tiny, tmp_path, *words.split())
    assert done.code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_a_changed_or_missing_file_of_a_package_is_refused(
    javascript: JavaScript, package: Path, tmp_path: Path
) -> None:
    shutil.copytree(package, tmp_path / "package", ignore=shutil.ignore_patterns("runtime"))
    file = tmp_path / "package/model/gradient_step.onnx"
    flip_bits(file)
    done = javascript.train(tmp_path / "package", tmp_path / "output", "--cycles", "3")
    assert done.stderr.startswith("error: the package does not match its manifest: model/gradient_step.onnx")
    file.unlink()
    done = javascript.train(tmp_path / "package", tmp_path / "output", "--cycles", "3")
    assert done.stderr == "error: the package has no model/gradient_step.onnx: package again\n"
