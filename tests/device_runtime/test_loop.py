"""A loop of a user's own: what it is given, what it leaves, and what is said when it fails."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from device_runtime.formats.checkpoint import read_checkpoint
from device_runtime.formats.errors import FormatError
from device_runtime.loop import TrainingRun
from tests.device_runtime.interrupted import killed_after, parameters, records, trained
from tests.device_runtime.small_model import TINY, execute, write_images, write_package
from tests.docs.pages import fences_of
from tests.invoking import ROOT

EXAMPLES = ROOT / "examples" / "loops"
PLAIN = "while run.goes_on():\n    run.train(run.batch())"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    package = write_package(tmp_path / "package")
    write_images(package / "dataset", {"train": 30, "test": 11, "validation": 13})
    (package / "loop").mkdir()
    return package


def write_loop(package: Path, body: str, *, before: str = "") -> str:
    """Writes a file with a loop; returns the file's name."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    (package / "loop" / "own.py").write_text(f"import numpy as np\n{before}\ndef loop(run):\n{lines}")
    return "own.py"


def run_loop(package: Path, output: Path, body: str, *words: str, before: str = "") -> list[str]:
    return execute(package, output, "--loop", write_loop(package, body, before=before), *words)


def ends(output: Path) -> bytes:
    """The parameters of the last checkpoint."""
    return parameters(output / records(output, "checkpoint")[-1]["file"])


def test_it_has_a_dozen_names_and_all_are_documented() -> None:
    names = {name for name in vars(TrainingRun) if not name.startswith("_")}
    page = (ROOT / "docs" / "your-loop.md").read_text()
    assert names == set(re.findall(r"^\| `run\.(\w+)", page, re.MULTILINE))
    assert len(names) == 12


@pytest.mark.parametrize("name", ["reptile.py", "early_stopping.py"])
def test_the_page_has_the_examples_as_they_are(name: str) -> None:
    [shown] = [fence.text for fence in fences_of(ROOT / "docs" / "your-loop.md") if fence.title == name]
    assert shown == (EXAMPLES / name).read_text()


@pytest.mark.parametrize("words", [(), ("--accumulate", "2"), ("--schedule", "cosine", "--warmup", "5")])
def test_the_plainest_one_trains_as_the_built_in_loop(package: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    execute(package, tmp_path / "built-in", "-c", "40", *words)
    run_loop(package, tmp_path / "own", PLAIN, "-c", "40", *words)
    both = [[(r["loss"], r["learning_rate"]) for r in records(tmp_path / n, "step")] for n in ("built-in", "own")]
    assert both[0] == both[1]
    assert ends(tmp_path / "built-in") == ends(tmp_path / "own")


def test_an_update_by_its_gradient_is_the_same_update(package: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "built-in", "-c", "20")
    body = """
while run.goes_on():
    loss, gradient = run.gradient(run.batch())
    assert run.state.named(gradient)["dense.bias"].shape == (3,)
    run.update(gradient, loss)
"""
    run_loop(package, tmp_path / "own", body, "-c", "20")
    assert ends(tmp_path / "built-in") == ends(tmp_path / "own")


def test_several_batches_add_up_to_their_mean_gradient(package: Path, tmp_path: Path) -> None:
    body = """
batch = run.batch()
loss, gradient = run.gradient(batch)
halves = [run.gradient(tuple(part[start : start + 8] for part in batch)) for start in (0, 8)]
np.testing.assert_allclose(gradient, (halves[0][1] + halves[1][1]) / 2, rtol=1e-5, atol=1e-7)
assert abs(loss - (halves[0][0] + halves[1][0]) / 2) < 1e-6
"""
    run_loop(package, tmp_path / "own", body, "-c", "20", "--accumulate", "2")


def test_what_it_leaves_is_evaluated_saved_and_recorded(package: Path, tmp_path: Path) -> None:
    body = f"run.record('begun', share=np.float32(0.5))\n{PLAIN}\nrun.log(f'made {{run.step}}')"
    names = run_loop(package, tmp_path / "out", body, "-c", "15")
    assert names == ["metrics.jsonl", "predictions_15.bin", "tiny_trained_15.safetensors"]
    assert records(tmp_path / "out", "begun") == [{"event": "begun", "step": 0, "share": 0.5}]
    assert records(tmp_path / "out", "start")[0]["loop"] == "own.py"
    last = records(tmp_path / "out", "evaluation")[-1]
    assert (last["step"], last["split"]) == (15, "validation")


@pytest.mark.parametrize("name", ["reptile.py", "early_stopping.py"])
def test_an_example_that_was_killed_ends_as_if_nothing_had_been(package: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(EXAMPLES / name, package / "loop")
    words = ("--loop", name, "-c", "900", "--learning-rate", "0.3", "--save-every", "35")
    execute(package, tmp_path / "whole", *words)
    saved = [record["step"] for record in records(tmp_path / "whole", "checkpoint")]
    assert len(saved) >= 4
    for step in {saved[1], saved[-2], saved[-1]}:
        killed_after(tmp_path / "whole", tmp_path / f"killed-{step}", step)
        execute(package, tmp_path / f"killed-{step}", "--resume")
        assert trained(tmp_path / f"killed-{step}") == trained(tmp_path / "whole")


def test_early_stopping_stops(package: Path, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "early_stopping.py", package / "loop")
    execute(package, tmp_path / "out", "--loop", "early_stopping.py", "-c", "900", "--learning-rate", "0.3", "--best")
    found = {r["step"]: r["accuracy"] for r in records(tmp_path / "out", "evaluation")[:-1]}
    best = max(found, key=lambda step: (found[step], -step))
    assert list(found)[-1] == records(tmp_path / "out", "end")[0]["step"] == best + 3 * 50 < 900
    assert records(tmp_path / "out", "best")[0]["step"] == best


def test_reptile_goes_half_of_the_way(package: Path, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "reptile.py", package / "loop")
    before = read_checkpoint(package / "model" / "tiny_untrained.safetensors", TINY).parameters
    # All classes are one task, so that its updates are those of a plain loop over the same images.
    body = """
from importlib.machinery import SourceFileLoader
module = SourceFileLoader("reptile", __file__.replace("own.py", "reptile.py")).load_module()
module.WAY = 1.0
module.loop(run)
"""
    run_loop(package, tmp_path / "whole", body, "-c", "5")
    execute(package, tmp_path / "half", "--loop", "reptile.py", "-c", "5")
    whole, half = (
        read_checkpoint(tmp_path / name / "tiny_trained_5.safetensors", TINY).parameters for name in ("whole", "half")
    )
    np.testing.assert_allclose(half, (before + whole) / 2, rtol=1e-6)
    assert np.abs(whole - before).max() > 0.01


def test_checkpoints_are_saved_where_it_may_go_on_and_nowhere_else(package: Path, tmp_path: Path) -> None:
    body = "while run.goes_on():\n    for _ in range(7):\n        run.train(run.batch())"
    run_loop(package, tmp_path / "out", body, "-c", "40", "--save-every", "10")
    assert [record["step"] for record in records(tmp_path / "out", "checkpoint")] == [14, 21, 35, 42]


def test_a_state_that_is_set_is_saved_although_its_step_was(package: Path, tmp_path: Path) -> None:
    body = f"first = run.state\n{PLAIN}\nrun.save()\nrun.state = first"
    run_loop(package, tmp_path / "out", body, "-c", "9")
    start = read_checkpoint(package / "model" / "tiny_untrained.safetensors", TINY)
    end = read_checkpoint(tmp_path / "out" / "tiny_trained_9.safetensors", TINY)
    assert np.array_equal(start.parameters, end.parameters)
    assert not any(state.any() for state in end.states.values())


def test_a_state_is_a_copy(package: Path, tmp_path: Path) -> None:
    body = """
before = run.state
kept = before.parameters.copy()
run.train(run.batch())
assert np.array_equal(before.parameters, kept)
assert not np.array_equal(run.state.parameters, kept)
before.parameters[:] = 0
assert run.state.parameters.any()
"""
    run_loop(package, tmp_path / "out", body, "-c", "9")


def test_without_an_option_it_is_the_loop_of_the_training_before(package: Path, tmp_path: Path) -> None:
    run_loop(package, tmp_path / "out", f"run.record('mine')\n{PLAIN}", "-c", "9")
    last = tmp_path / "out" / "tiny_trained_9.safetensors"
    execute(package, tmp_path / "more", "-f", last, "-c", "3")
    execute(package, tmp_path / "built-in", "-f", last, "-c", "3", "--loop", "none")
    assert [record["step"] for record in records(tmp_path / "more", "mine")] == [9]
    assert not records(tmp_path / "built-in", "mine")


def test_where_it_was_on_the_host_is_of_no_matter(package: Path, tmp_path: Path) -> None:
    name = write_loop(package, PLAIN)
    execute(package, tmp_path / "out", "--loop", f"/somewhere/else/{name}", "-c", "3")
    assert records(tmp_path / "out", "start")[0]["loop"] == name


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("run.train(run.batch())\n1 / 0", "own.py, line 5: ZeroDivisionError: division by zero"),
        ("x, y = run.batch(); run.train((x, y + 10))", "own.py, line 4: ValueError: a batch has class "),
        ("run.train(('a', 'b'))", "own.py, line 4: ValueError: a batch of 1 images and 1 labels: --batch-size is 8"),
        (
            "run.evaluate('dev')",
            "own.py, line 4: ValueError: the dataset has no split 'dev': it has train, test",
        ),
        ("run.record('end')", "own.py, line 4: ValueError: 'end' is what the runner records: give the event another"),
        ("open('/nowhere')", "own.py, line 4: FileNotFoundError: [Errno 2] No such file or directory: '/nowhere'"),
        ("import sys\nsys.exit(0)", "own.py, line 5: SystemExit: 0"),
        ("raise ValueError('a\\nb')", "own.py, line 4: ValueError: a b"),
        ("run.state = run.state.parameters", "own.py, line 4: AttributeError: "),
        ("run.update(run.state.parameters, float('nan'))", "step 1: the loss is nan: training diverged"),
    ],
)
def test_what_fails_in_it_is_one_line_with_its_place(package: Path, tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(FormatError) as caught:
        run_loop(package, tmp_path / "out", body, "-c", "9")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_what_fails_beside_it_has_its_own_place(package: Path, tmp_path: Path) -> None:
    (package / "loop" / "beside_own.py").write_text("def fail():\n    {}['missing']\n")
    with pytest.raises(FormatError, match=r"^beside_own\.py, line 2: KeyError: 'missing'$"):
        run_loop(package, tmp_path / "out", "beside_own.fail()", "-c", "9", before="import beside_own")


def test_one_that_failed_can_be_mended_and_goes_on(package: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"own\.py, line 6: ZeroDivisionError"):
        run_loop(package, tmp_path / "out", f"{PLAIN}\n    1 / (run.step - 12)", "-c", "20", "--save-every", "5")
    write_loop(package, PLAIN)
    execute(package, tmp_path / "out", "--resume")
    run_loop(package, tmp_path / "whole", PLAIN, "-c", "20", "--save-every", "5")
    assert trained(tmp_path / "out") == trained(tmp_path / "whole")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import torch_of_no_device\n", "own.py, line 1: ModuleNotFoundError: No module named 'torch_of_no_device'"),
        ("def loop(run:\n", "own.py: SyntaxError: '(' was never closed (own.py, line 1)"),
        ("x = 1\n", "own.py has no function loop(run)"),
    ],
)
def test_one_that_is_none_is_told(package: Path, tmp_path: Path, text: str, said: str) -> None:
    (package / "loop" / "own.py").write_text(text)
    with pytest.raises(FormatError, match=re.escape(said)):
        execute(package, tmp_path / "out", "--loop", "own.py", "-c", "3")


def test_one_that_was_not_packaged_is_told(package: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"the package has no loop other\.py: package it with --loop, or train with"):
        execute(package, tmp_path / "out", "--loop", "other.py", "-c", "3")
    assert not list((tmp_path / "out").iterdir())
