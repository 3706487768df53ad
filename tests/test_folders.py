"""Odd folders from the command line to the results: what is said, and names of any characters."""

from __future__ import annotations

import json
import os
from pathlib import Path

import onnx
import pytest
from PIL import Image

from tests.emulator.device import EmulatedDevice
from tests.invoking import ROOT, Invoked, invoke
from tests.pipeline.datasets.image_files import write_folders

SMALL_MODEL = """
from torch import nn

def small():
    return nn.Sequential(
        nn.Conv2d(3, 4, 8, stride=8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )
"""

CLASSES = (b"caf\xe9", b'<b>\n"one, two"', b"x" * 255)


def write_odd_names(folder: Path) -> None:
    """Three classes of ten images, all of whose names are odd."""
    for label, name in enumerate(CLASSES):
        place = folder / os.fsdecode(name)
        place.mkdir(parents=True)
        for number in range(10):
            file = b"%d'\n\xff %%.png" % number if number else b"y" * 251 + b".png"
            Image.new("RGB", (12, 9), (label * 100, number * 20, 7)).save(place / os.fsdecode(file))


def run_small(tmp_path: Path, *options: str, env: dict[str, str] | None = None) -> Invoked:
    """Trains a small model of three classes on the folder `in`."""
    (tmp_path / "small.py").write_text(SMALL_MODEL)
    model = f"{tmp_path / 'small.py'}:small"
    folders = ("--data", tmp_path / "in", "--build", tmp_path / "build", "--runs", tmp_path / "runs")
    return invoke("run", "--model", model, *folders, "--batch-size", "4", "--cycles", "3", *options, env=env)


def test_checking_says_what_was_found_and_writes_nothing(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"))
    (tmp_path / "in" / "a" / "notes.txt").write_text("x")
    run = invoke("convert", "--check", "--verbose", "--data", tmp_path / "in", "--build", tmp_path / "build")
    assert run.code == 0
    assert run.stdout == ""
    assert [line for line in run.stderr.splitlines() if not line.startswith("convert: ")] == [
        "found 40 images of 2 classes: train 24, test 8, validation 8",
        "warning: left out: files that are no images 1 (a/notes.txt)",
        "class  train  test  validation  left out",
        "a         12     4           4         1",
        "b         12     4           4         0",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_class_without_images_is_one_line(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b"))
    (tmp_path / "in" / "new\nline").mkdir()
    for options in (["--check"], []):
        run = invoke("convert", *options, "--data", tmp_path / "in", "--build", tmp_path / "build")
        assert run.code == 4
        last = run.stderr.splitlines()[-1]
        assert last.startswith(f"error: {tmp_path / 'in'}: the class new\\nline has no usable image: it is empty")
        assert not (tmp_path / "build").exists()


def test_classes_with_commas_are_chosen_in_quotes_and_a_colour_is_checked(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a, b", "c", "d"))
    words = ("convert", "--check", "--data", tmp_path / "in")
    assert "of 2 classes" in invoke(*words, "--classes", 'c,"a, b"').stderr
    wrong = invoke(*words, "--background", "nothing")
    assert wrong.code == 2
    assert wrong.stderr == "error: --background nothing: give a colour, as white, #ff8800 or rgb(255, 136, 0)\n"


@pytest.mark.slow
def test_names_of_any_characters_reach_the_report_and_the_inference_model(tmp_path: Path) -> None:
    write_odd_names(tmp_path / "in")
    run = run_small(tmp_path)
    assert run.code == 0, run.stderr
    (trained,) = run.results.glob("*_trained.onnx")
    (metadata,) = [entry for entry in onnx.load(trained).metadata_props if entry.key == "classes"]
    # In the order of the bytes.
    assert json.loads(metadata.value) == ['<b>\n"one, two"', "café", "x" * 255]
    report = (run.results / "report.html").read_text()
    assert "<p>found 30 images of 3 classes: train 18, test 6, validation 6</p>" in report
    cells = "".join(f'<td class="number">{number}</td>' for number in (6, 2, 2, 0))
    assert f'<td class="name">&lt;b&gt;\n&#34;one, two&#34;</td>{cells}' in report


@pytest.mark.slow
def test_files_and_folders_of_any_characters_are_no_commands(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b", "c"), 10)
    odd = tmp_path / "it's $(touch evil);\n\"`touch evil`"
    odd.mkdir()
    model = odd / "-café $(touch evil).py"
    model.write_text(SMALL_MODEL.replace("small", "build"))
    words = ("--data", tmp_path / "in", "--build", odd / "b u", "--runs", odd / "runs", "--batch-size", "4")
    run = invoke("run", "--model", f"{model}:build", *words, "--cycles", "3")
    assert run.code == 0, run.stderr
    (results,) = (odd / "runs").iterdir()
    assert {path.name for path in results.glob("caf_touch_evil_*")} >= {
        "caf_touch_evil__trained.onnx",
        "caf_touch_evil__trained_3.safetensors",
    }
    assert not [*tmp_path.rglob("evil"), *ROOT.glob("evil")]


@pytest.mark.slow
def test_a_model_of_another_number_of_classes_is_one_line(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b", "c", "d"), 10)
    run = run_small(tmp_path)
    assert run.code == 5
    assert "gives an output of shape N×3, the dataset has 4 classes" in run.stderr.splitlines()[-1]


@pytest.mark.slow
def test_what_was_left_out_is_in_the_report_of_a_second_run_too(tmp_path: Path) -> None:
    write_folders(tmp_path / "in", ("a", "b", "c"), 10)
    (tmp_path / "in" / "a" / "notes.txt").write_text("x")
    line = "left out: files that are no images 1 (a/notes.txt)"
    for run in (run_small(tmp_path), run_small(tmp_path)):
        assert run.code == 0, run.stderr
        assert f"warning: {line}" in run.stderr.splitlines()
        assert f"<p>{line}</p>" in (run.results / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.emulator
def test_names_of_any_characters_reach_the_emulated_device(x86_device: EmulatedDevice, tmp_path: Path) -> None:
    write_odd_names(tmp_path / "in")
    env = {"ANDROID_ADB_SERVER_PORT": str(x86_device.adb_server_port)}
    for _ in range(2):
        run = run_small(tmp_path, "--target", "x86", "--serial", x86_device.serial, env=env)
        assert run.code == 0, run.stderr
        assert len(run.accuracies) + run.stdout.count("accuracy on validation data = ") >= 3
    # The device's digests are those of the manifest: of the second run nothing but lists travels.
    (sent,) = [line for line in run.stderr.splitlines() if line.startswith("pushed ")]
    assert float(sent.split()[1]) < 1
    x86_device.shell("rm -rf /data/local/tmp/*")
