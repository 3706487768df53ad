"""Evaluations that steer a training: when it stops, which checkpoint it ends with, and on which images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from device_runtime.formats.errors import FormatError
from device_runtime.formats.metrics import read_metrics, trained_file
from device_runtime.formats.predictions import predictions_name, read_predictions
from tests.device_runtime.interrupted import killed_after, records, trained
from tests.device_runtime.small_model import TINY, execute, write_images, write_package

# Noisy enough that evaluations go up and down.
WORDS = ("-c", "200", "--learning-rate", "0.3", "--evaluate-every", "5")
STEERED = (*WORDS, "--patience", "4", "--best")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    package = write_package(tmp_path / "package")
    write_images(package / "dataset", {"train": 30, "test": 11, "validation": 13})
    return package


def evaluated(output: Path, split: str = "validation") -> dict[int, float]:
    """The accuracies while it was trained, by their steps."""
    found = [r for r in records(output, "evaluation")[:-1] if r["split"] == split]
    return {record["step"]: record["accuracy"] for record in found}


def best_step(accuracies: dict[int, float]) -> int:
    return max(accuracies, key=lambda step: (accuracies[step], -step))


def where_patience_ends(accuracies: dict[int, float], patience: int) -> int:
    """The step after which it has to stop, of evaluations that were all made."""
    best, since = -1.0, 0
    for step, accuracy in accuracies.items():
        best, since = (accuracy, 0) if accuracy > best else (best, since + 1)
        if since == patience:
            return step
    raise AssertionError("it never ends")


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_it_stops_when_so_many_evaluations_were_no_better(
    package: Path, tmp_path: Path, patience: int, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(package, tmp_path / "whole", *WORDS, "--best")
    capsys.readouterr()
    execute(package, tmp_path / "stopped", *WORDS, "--patience", str(patience))
    end = records(tmp_path / "stopped", "end")[0]["step"]
    assert f"stopped after step {end}: --patience {patience}\n" in capsys.readouterr().out
    assert end == where_patience_ends(evaluated(tmp_path / "whole"), patience) < 200
    assert records(tmp_path / "stopped", "stop")[0]["reason"] == f"--patience {patience}"
    both = [[r["loss"] for r in records(tmp_path / name, "step")][:end] for name in ("whole", "stopped")]
    assert both[0] == both[1]


def test_it_ends_with_the_checkpoint_that_was_best(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    execute(package, output, *STEERED)
    accuracies = evaluated(output)
    best = best_step(accuracies)
    assert best < records(output, "end")[0]["step"]
    assert trained_file(read_metrics(output)) == f"tiny_trained_{best}.safetensors"
    last = records(output, "evaluation")[-1]
    assert (last["step"], last["split"], last["accuracy"]) == (best, "validation", accuracies[best])
    heading, predictions = read_predictions(output / predictions_name(best))
    assert (heading.step, heading.split) == (best, "validation")
    assert sum(predictions.labels == predictions.guesses) == round(accuracies[best] * heading.images)
    said = capsys.readouterr().out
    assert f"accuracy on validation data = {accuracies[5]:.6g} max accuracy = {accuracies[5]:.6g}\n" in said
    assert f"best on validation data after step {best}: that is the trained model\n" in said
    execute(package, tmp_path / "again", "-f", output / f"tiny_trained_{best}.safetensors", "-c", "0")
    assert capsys.readouterr().out.endswith(f"\naccuracy on validation data = {accuracies[best]:.6g}\n")


@pytest.mark.parametrize("words", [STEERED, ("--epochs", "20", "--learning-rate", "0.3", "--patience", "3", "--best")])
def test_one_that_was_killed_ends_as_if_nothing_had_been(package: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    execute(package, tmp_path / "whole", *words, "--save-every", "7")
    end, best = records(tmp_path / "whole", "end")[0]["step"], records(tmp_path / "whole", "best")[0]["step"]
    saved = [record["step"] for record in records(tmp_path / "whole", "checkpoint")]
    # In its middle, when it waits for a better one, and when it had stopped.
    for step in {saved[2], next(step for step in saved if step > best), saved[-1]}:
        killed_after(tmp_path / "whole", tmp_path / f"killed-{step}", step)
        execute(package, tmp_path / f"killed-{step}", "--resume")
        assert trained(tmp_path / f"killed-{step}") == trained(tmp_path / "whole")
        assert records(tmp_path / f"killed-{step}", "end")[0]["step"] == end
        assert records(tmp_path / f"killed-{step}", "best")[0]["step"] == best


def test_one_that_was_killed_in_its_end_comes_to_it(package: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "whole", *WORDS, "--best", "-c", "40")
    killed_after(tmp_path / "whole", tmp_path / "killed", 40)
    left = next((tmp_path / "killed").glob("predictions_*"))
    left.unlink()
    execute(package, tmp_path / "killed", "--resume")
    assert left.is_file()
    assert records(tmp_path / "killed", "best") == records(tmp_path / "whole", "best")
    assert records(tmp_path / "killed", "step") == records(tmp_path / "whole", "step")


def test_epochs_stop_too(package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--epochs", "30", "--learning-rate", "0.3", "--best")
    execute(package, tmp_path / "whole", *words)
    execute(package, tmp_path / "stopped", *words, "--patience", "3")
    # 90 images: 11 steps an epoch.
    assert list(evaluated(tmp_path / "whole")) == list(range(11, 331, 11))
    end = records(tmp_path / "stopped", "end")[0]["step"]
    assert end == where_patience_ends(evaluated(tmp_path / "whole"), 3)
    assert {record["split"] for record in records(tmp_path / "stopped", "epoch")} == {"validation"}
    assert " accuracy on validation data = " in capsys.readouterr().out
    assert records(tmp_path / "stopped", "best")[0]["step"] == best_step(evaluated(tmp_path / "stopped"))


def test_within_epochs_it_evaluates_where_that_is_asked_for(package: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "out", "--epochs", "2", "--best", "--evaluate-every", "5")
    assert list(evaluated(tmp_path / "out")) == [5, 10, 11, 15, 20, 22]


def test_without_validation_images_the_test_images_decide(package: Path, tmp_path: Path) -> None:
    write_images(package / "dataset", {"train": 30, "test": 11})
    execute(package, tmp_path / "out", *STEERED)
    accuracies = evaluated(tmp_path / "out", "test")
    assert list(accuracies) == list(range(5, where_patience_ends(accuracies, 4) + 1, 5))


def test_nothing_but_the_test_images_tells_a_target_accuracy(package: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "out", "-c", "300", "--evaluate-every", "5", "--best", "--target-accuracy", "0.9")
    tested, end = evaluated(tmp_path / "out", "test"), records(tmp_path / "out", "end")[0]["step"]
    assert [step for step, accuracy in tested.items() if accuracy >= 0.9] == [end]
    assert list(evaluated(tmp_path / "out")) == list(tested)


def test_nobody_who_chooses_nothing_looks_at_validation_images(package: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "out", *WORDS, "-c", "20", "--keep", "1")
    assert list(evaluated(tmp_path / "out", "test")) == [5, 10, 15, 20]
    assert not evaluated(tmp_path / "out")


def test_the_best_one_stays_whatever_goes(package: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "out", *WORDS, "--keep", "1", "--best")
    kept = {path.name for path in (tmp_path / "out").glob("*.safetensors")}
    best = best_step(evaluated(tmp_path / "out"))
    assert kept == {f"tiny_trained_{step}.safetensors" for step in (best, 200)}


def test_a_training_that_goes_on_has_patience_of_its_own(package: Path, tmp_path: Path) -> None:
    execute(package, tmp_path / "out", *STEERED)
    stopped = records(tmp_path / "out", "end")[0]["step"]
    execute(package, tmp_path / "out", "-f", tmp_path / "out" / f"tiny_trained_{stopped}.safetensors", "-c", "100")
    assert records(tmp_path / "out", "end")[0]["step"] >= stopped + 4 * 5


def test_without_evaluations_it_is_refused(tmp_path: Path) -> None:
    package = write_package(
        tmp_path / "package", dataclasses.replace(TINY, recipe=dataclasses.replace(TINY.recipe, report_every=0))
    )
    with pytest.raises(FormatError, match="there would be none: give --evaluate-every"):
        execute(package, tmp_path / "out", "-c", "10", "--patience", "2")
