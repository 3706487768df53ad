"""`invoke infer`, as a user types it, on this machine."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

from tests.invoking import Invoked, invoke
from tests.pipeline.inference.conftest import Finished

pytestmark = pytest.mark.slow


def one_line(run: Invoked) -> str:
    """The error, which is all that went wrong."""
    assert "Traceback" not in run.stderr
    last = run.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    return last


def test_all_test_images_give_exactly_the_accuracy_of_the_evaluation(finished: Finished) -> None:
    run = invoke("infer", finished.pictures, "--json", *finished.folders)
    assert run.code == 0, run.stderr
    said = json.loads(run.stdout)
    images = said["images"]
    assert len(images) == 1000
    right = [image["class"] == Path(image["file"]).parent.name for image in images]
    assert float(f"{sum(right) / len(right):.6g}") == finished.accuracy
    assert said["model"] == str(finished.results / "lenet_trained.onnx")
    assert said["latency"]["batch"] == 1
    assert 0 < said["latency"]["median_ms"] < 1000


def test_it_prints_a_table_and_the_latency(finished: Finished) -> None:
    picture = finished.pictures / "7" / "700.png"
    run = invoke("infer", "--run", finished.results.name, picture, "--top", "3", *finished.folders)
    assert run.code == 0, run.stderr
    heading, *rows, last = run.stdout.splitlines()
    assert heading.split() == ["file", "class", "probability"]
    assert rows[0].split()[0] == str(picture)
    assert [len(row.split()) for row in rows] == [3, 2, 2]
    found = [float(row.split()[-1]) for row in rows]
    assert found == sorted(found, reverse=True)
    assert 0 < sum(found) <= 1.0002
    assert re.fullmatch(
        r"latency [\d.]+ ms: median of \d+ runs at batch 1, 1 thread, onnxruntime [\d.]+ on x86 \(x86_64, \d+ cores\)",
        last,
    )


def test_what_cannot_be_read_is_named_and_the_rest_is_answered(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.pictures / "1", tmp_path / "in")
    for name in ("broken.png", "notes.txt"):
        (tmp_path / "in" / name).write_text("nothing to see")
    found = invoke("infer", tmp_path / "in", "--json", *finished.folders)
    assert found.code == 0, found.stderr
    said = json.loads(found.stdout)
    assert len(said["images"]) == 100
    assert said["skipped"] == 1
    assert [Path(unread["file"]).name for unread in said["unread"]] == ["broken.png"]
    named = invoke("infer", tmp_path / "in" / "broken.png", tmp_path / "in" / "100.png", "gone.jpg", *finished.folders)
    assert named.code == 1
    warnings = [line for line in named.stderr.splitlines() if line.startswith("warning: ")]
    assert [line.split(" ", 2)[2] for line in warnings][1] == "is missing"
    assert one_line(named).startswith("error: 2 of 3 pictures cannot be read: ")
    assert len(named.stdout.splitlines()) == 3


def test_where_nothing_can_be_read_nothing_is_answered(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    run = invoke("infer", tmp_path, *finished.folders)
    assert run.code == 1
    assert run.stdout == ""
    assert one_line(run) == f"error: 1 of 1 pictures cannot be read: {tmp_path / 'a.png'}"


def test_a_results_folder_elsewhere_answers_without_the_build_it_came_from(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.results, tmp_path / "elsewhere")
    # The runtime would be fetched again.
    shutil.copytree(finished.build / "runtime-x86", tmp_path / "build" / "runtime-x86")
    picture = finished.pictures / "0" / "0.png"
    run = invoke("infer", picture, "--run", tmp_path / "elsewhere", "--build", tmp_path / "build", "--json")
    assert run.code == 0, run.stderr
    here = invoke("infer", picture, "--json", *finished.folders)
    assert json.loads(run.stdout)["images"] == json.loads(here.stdout)["images"]
    # What was asked about is gone.
    assert not (tmp_path / "build" / "inference-x86" / "output").exists()


def with_metadata(finished: Finished, folder: Path, **changed: str | None) -> Path:
    """A copy of the run whose model says something else of itself."""
    shutil.copytree(finished.results, folder)
    model = onnx.load(folder / "lenet_trained.onnx")
    said: dict[str, Any] = {entry.key: entry.value for entry in model.metadata_props} | changed
    del model.metadata_props[:]
    for key, value in said.items():
        if value is not None:
            model.metadata_props.add(key=key, value=value)
    onnx.save(model, folder / "lenet_trained.onnx")
    return folder


def test_a_model_that_diverged_is_told(finished: Finished, tmp_path: Path) -> None:
    folder = with_metadata(finished, tmp_path / "run")
    model = onnx.load(folder / "lenet_trained.onnx")
    for tensor in model.graph.initializer:
        if tensor.name.endswith("bias"):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * float("nan"), tensor.name))
    onnx.save(model, folder / "lenet_trained.onnx")
    run = invoke("infer", finished.pictures / "0" / "0.png", "--run", folder, "--build", finished.build)
    assert run.code == 9
    assert "its training diverged" in one_line(run)


def test_a_model_of_other_pixels_than_it_says_is_told(finished: Finished, tmp_path: Path) -> None:
    said = {entry.key: entry.value for entry in onnx.load(finished.results / "lenet_trained.onnx").metadata_props}
    other = json.dumps(json.loads(said["preprocessing"]) | {"mode": "RGB"})
    folder = with_metadata(finished, tmp_path / "run", preprocessing=other)
    run = invoke("infer", finished.pictures / "0" / "0.png", "--run", folder, "--build", finished.build)
    assert run.code == 9
    assert "does not make logits of uint8 pixels N×28×28×3" in one_line(run)


def test_what_cannot_be_meant_is_told_before_anything_is_done(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    cases: list[tuple[tuple[str | Path, ...], str]] = [
        (("infer", *finished.folders), "name pictures or folders of them"),
        (("infer", tmp_path / "empty", *finished.folders), "no picture lies there"),
        (("infer", "a.png", "--run", "never"), "never: neither that nor runs/never is a folder"),
        (("infer", "a.png", "--runs", tmp_path / "empty"), "holds no trained model"),
        (("infer", "a.png", "--run", tmp_path / "empty"), "that is not a folder with a metrics.jsonl"),
        (("infer", "a.png", "--top", "0", *finished.folders), "--top 0: give a whole number of at least 1"),
    ]
    for words, message in cases:
        run = invoke(*words)
        assert run.code in (1, 2)
        assert message in one_line(run)
