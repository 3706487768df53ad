"""What a round of a fleet leaves; it trains as without, and FedProx's term draws to what it started from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device_runtime import rounds
from device_runtime.formats.checkpoint import Checkpoint, Vector, read_checkpoint, untrained_name, write_checkpoint
from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import Model
from device_runtime.formats.options import OptionsError
from device_runtime.formats.round import ROUND_FILE, ROUND_PARAMETERS, RoundResult, read_round
from tests.device_runtime.interrupted import killed_after, records, trained
from tests.device_runtime.small_model import SIZE, TINY, execute, write_images, write_package

PROXIMAL = replace(TINY, proximal=True)
NOTHING = np.empty(0, np.float32)
WORDS = ("-c", "25", "--seed", "5", "--round-dtype")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package")


def given(folder: Path, vector: Vector, model: Model = TINY) -> Path:
    """A global model, as a fleet gives it to a device."""
    write_checkpoint(folder / "global.safetensors", Checkpoint(0, vector, NOTHING, {}), model)
    return folder / "global.safetensors"


def parameters_of(file: Path) -> Vector:
    return read_checkpoint(file, TINY).parameters


def test_a_round_trains_as_without(package: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "plain", *WORDS[:-1])
    names = execute(package, tmp_path / "round", *WORDS, "float32")
    assert trained(tmp_path / "round") == trained(tmp_path / "plain")
    assert {ROUND_FILE, ROUND_PARAMETERS} <= set(names)


def test_what_it_leaves_is_the_trained_model_alone(package: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "round", *WORDS, "float32")
    left = read_checkpoint(tmp_path / "round" / ROUND_PARAMETERS, TINY)
    np.testing.assert_array_equal(left.parameters, parameters_of(tmp_path / "round" / "tiny_trained_25.safetensors"))
    assert (left.step, left.states, left.run.plan) == (0, {}, {})


def test_in_float16_it_is_the_nearest_numbers_in_half_the_bytes(package: Path, tmp_path: Path) -> None:
    sizes = []
    for dtype in ("float32", "float16"):
        execute(package, tmp_path / dtype, *WORDS, dtype)
        sizes.append((tmp_path / dtype / ROUND_PARAMETERS).stat().st_size)
    whole, half = (parameters_of(tmp_path / dtype / ROUND_PARAMETERS) for dtype in ("float32", "float16"))
    np.testing.assert_array_equal(half, whole.astype(np.float16).astype(np.float32))
    assert not np.array_equal(half, whole)
    assert sizes[0] - sizes[1] == 2 * SIZE


def test_its_numbers_are_those_of_training_and_test_images(package: Path, tmp_path: Path) -> None:
    output = tmp_path / "round"
    execute(package, output, *WORDS, "float32")
    found = read_round(output)
    losses = [record["loss"] for record in records(output, "step")]
    last = records(output, "evaluation")[-1]
    execute(package, tmp_path / "untrained", "-c", "0")
    [first] = [
        json.loads(line)
        for line in (tmp_path / "untrained" / "evaluation_0.jsonl").read_text().splitlines()
        if '"evaluation"' in line
    ]
    assert (found.images, found.steps) == (90, 25)
    assert found.loss == pytest.approx(sum(losses) / 25)
    assert (found.accuracy, found.test_loss) == (last["accuracy"], last["loss"])
    assert (found.accuracy_before, found.test_loss_before) == (first["accuracy"], first["loss"])
    assert found.accuracy > found.accuracy_before
    assert 0 < found.seconds < records(output, "end")[0]["seconds"]


def test_it_tells_of_the_test_images_also_where_there_are_others_for_validation(package: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "data", {"train": 30, "test": 7, "validation": 5})
    words = ("-d", tmp_path / "data", "--evaluate-every", "25")
    execute(package, tmp_path / "round", *WORDS, "float32", *words)
    [test, validation] = records(tmp_path / "round", "evaluation")
    assert (test["split"], validation["split"]) == ("test", "validation")
    assert read_round(tmp_path / "round").test_loss == test["loss"] != validation["loss"]


def test_a_model_is_evaluated_on_test_images_where_that_is_asked_for(package: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "data", {"train": 30, "test": 7, "validation": 5})
    found = []
    for words in ((), ("--on-test",)):
        execute(package, tmp_path / "out", "-c", "0", "-d", tmp_path / "data", *words)
        lines = (tmp_path / "out" / "evaluation_0.jsonl").read_text().splitlines()
        found += [record for record in map(json.loads, lines) if record["event"] == "evaluation"]
    assert [(record["split"], record["images"]) for record in found] == [("validation", 15), ("test", 21)]


def test_its_steps_are_its_own_where_it_goes_on_in_a_folder(package: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "out", "-c", "10", "-s", "10")
    execute(package, tmp_path / "out", *WORDS, "float32", "-f", tmp_path / "out" / "tiny_trained_10.safetensors")
    losses = {record["step"]: record["loss"] for record in records(tmp_path / "out", "step")}
    assert len(losses) == 35
    found = read_round(tmp_path / "out")
    assert found.steps == 25
    assert found.loss == pytest.approx(sum(losses[step] for step in range(11, 36)) / 25)


def test_round_json_is_written_last(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[str] = []

    def note(folder: Path, result: RoundResult) -> None:
        there.extend(path.name for path in folder.iterdir())

    monkeypatch.setattr(rounds, "write_round", note)
    execute(package, tmp_path / "round", *WORDS, "float32")
    assert {ROUND_PARAMETERS, "tiny_trained_25.safetensors"} <= set(there)
    assert ROUND_FILE not in there


def test_a_number_beyond_float16_is_refused_and_leaves_no_round(package: Path, tmp_path: Path) -> None:
    start = given(tmp_path, np.full(SIZE, 1e5, np.float32))
    with pytest.raises(FormatError, match="a number of the model is beyond float16: leave out --compress"):
        execute(package, tmp_path / "out", *WORDS, "float16", "-f", start)
    assert not (tmp_path / "out" / ROUND_FILE).exists()
    assert not (tmp_path / "out" / ROUND_PARAMETERS).exists()


def test_a_model_that_is_worth_nothing_is_not_trained(package: Path, tmp_path: Path) -> None:
    # Logits beyond any number.
    start = given(tmp_path, np.linspace(-3e38, 3e38, SIZE, dtype=np.float32))
    with pytest.raises(FormatError, match=r"the loss on the test images is .*: the fleet diverged"):
        execute(package, tmp_path / "out", *WORDS, "float32", "-f", start)
    assert not records(tmp_path / "out", "step")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--round-dtype", "float32", "--engine", "reference"), "leave out --engine reference"),
        (("--proximal-mu", "0.1", "--engine", "reference"), "leave out --engine reference"),
        (("--round-dtype", "float32", "--resume"), "leave out --resume"),
        (("--round-dtype", "float64"), "invalid choice: 'float64'"),
        (("--proximal-mu", "-1"), "is not a weight: a number of at least 0"),
        (("--proximal-mu", "nan"), "is not a weight: a number of at least 0"),
    ],
)
def test_what_cannot_be_is_refused(package: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(OptionsError, match=said):
        execute(package, tmp_path / "out", *words)


def test_a_model_without_the_term_takes_no_weight_of_it(package: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"--proximal-mu 0\.1: this model has no proximal term: give 0, or package"):
        execute(package, tmp_path / "out", "-c", "5", "--proximal-mu", "0.1")
    assert not (tmp_path / "out" / "metrics.jsonl").exists()
    execute(package, tmp_path / "out", "-c", "5", "--proximal-mu", "0")
    assert records(tmp_path / "out", "end")


@pytest.fixture
def proximal(tmp_path: Path) -> Path:
    return write_package(tmp_path / "proximal", PROXIMAL)


def test_without_weight_it_trains_as_a_model_without_the_term(package: Path, proximal: Path, tmp_path: Path) -> None:
    words = ("-c", "25", "--seed", "5")
    execute(package, tmp_path / "plain", *words)
    for number, weight in enumerate(((), ("--proximal-mu", "0"))):
        execute(proximal, tmp_path / str(number), *words, *weight)
        assert trained(tmp_path / str(number)) == trained(tmp_path / "plain")


def test_the_term_draws_to_the_model_that_was_given(proximal: Path, tmp_path: Path) -> None:
    start = np.random.default_rng(9).normal(0, 0.1, SIZE).astype(np.float32)
    file, distances = given(tmp_path, start), []
    for weight in ("0", "0.1", "10"):
        output = tmp_path / weight
        execute(proximal, output, *WORDS, "float32", "-f", file, "--proximal-mu", weight)
        distances.append(float(np.linalg.norm(parameters_of(output / ROUND_PARAMETERS) - start)))
    assert distances == sorted(distances, reverse=True)
    assert distances[2] < 0.5 * distances[0]


@pytest.mark.parametrize("step", [0, 7, 21])
def test_a_training_with_the_term_that_is_killed_goes_on_as_if_nothing_had_been(
    proximal: Path, tmp_path: Path, step: int
) -> None:
    start = given(tmp_path, np.random.default_rng(9).normal(0, 0.1, SIZE).astype(np.float32))
    execute(proximal, tmp_path / "whole", "-f", start, "-c", "30", "-s", "7", "--proximal-mu", "2")
    killed_after(tmp_path / "whole", tmp_path / "killed", max(step, 7), 2)
    if step == 0:
        # Before it had saved anything.
        (tmp_path / "killed" / "tiny_trained_7.safetensors").unlink()
    execute(proximal, tmp_path / "killed", "--resume")
    assert trained(tmp_path / "killed") == trained(tmp_path / "whole")
    assert trained(tmp_path / "whole") != trained_without(proximal, start, tmp_path)


def trained_without(package: Path, start: Path, folder: Path) -> list[object]:
    execute(package, folder / "without", "-f", start, "-c", "30", "-s", "7")
    return trained(folder / "without")


def test_what_it_started_from_has_to_be_there_when_it_goes_on(proximal: Path, tmp_path: Path) -> None:
    start = given(tmp_path, np.zeros(SIZE, np.float32))
    execute(proximal, tmp_path / "whole", "-f", start, "-c", "30", "-s", "7", "--proximal-mu", "2")
    killed_after(tmp_path / "whole", tmp_path / "killed", 7)
    start.unlink()
    with pytest.raises(FormatError, match=r"global\.safetensors does not exist"):
        execute(proximal, tmp_path / "killed", "--resume")


def test_one_that_is_over_needs_no_start(proximal: Path, tmp_path: Path) -> None:
    start = given(tmp_path, np.zeros(SIZE, np.float32))
    execute(proximal, tmp_path / "whole", "-f", start, "-c", "5", "--proximal-mu", "2")
    start.unlink()
    execute(proximal, tmp_path / "whole", "--resume")
    assert records(tmp_path / "whole", "end")


def test_what_was_trained_with_the_term_is_evaluated_without(package: Path, proximal: Path, tmp_path: Path) -> None:
    execute(proximal, tmp_path / "trained", "-c", "5", "--proximal-mu", "2")
    file = tmp_path / "trained" / "tiny_trained_5.safetensors"
    assert "evaluation_5.jsonl" in execute(package, tmp_path / "evaluated", "-f", file, "-c", "0")


def test_a_killed_training_from_another_model_than_the_packages_begins_again_with_that(
    package: Path, tmp_path: Path
) -> None:
    start = given(tmp_path, np.random.default_rng(9).normal(0, 0.1, SIZE).astype(np.float32))
    assert start.name != untrained_name(TINY)
    execute(package, tmp_path / "whole", "-f", start, "-c", "20", "-s", "7")
    killed_after(tmp_path / "whole", tmp_path / "killed", 7, -1)
    (tmp_path / "killed" / "tiny_trained_7.safetensors").unlink()
    execute(package, tmp_path / "killed", "--resume")
    assert trained(tmp_path / "killed") == trained(tmp_path / "whole")
