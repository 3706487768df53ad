"""Federated trainings, as a user runs them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from PIL import Image

from device_runtime.formats.dataset import load_dataset
from pipeline.fleet.parting import histogram
from pipeline.fleet.records import of, read, rounds
from tests.faults.training import wait_for
from tests.invoking import ROOT, Invoked, invoke
from tests.networks import of_arrays

TRAINING = ("--batch-size", "10", "--learning-rate", "0.01", "--local-epochs", "2")


def fleet(folder: Path, *words: str, runs: Path | None = None) -> Invoked:
    """Runs `invoke fleet` with everything it writes in `folder`."""
    places = () if "--resume" in words else ("--build", str(folder / "build"))
    done = invoke("fleet", *places, "--runs", runs or folder / "runs", *words)
    assert done.code == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done


def left_running(folder: Path) -> list[str]:
    """Command lines of processes that name the folder."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and str(os.getpid()) != process.parent.name:
            lines.append(line)
    return lines


@pytest.fixture(scope="module")
def made(made_of: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Invoked]:
    """A fleet's folder, and what its command printed."""
    folder = tmp_path_factory.mktemp("fleet")
    words = ("--devices", "local:3", "--rounds", "3", "--partition", "dirichlet:0.5", "--personalise", "10")
    return folder, fleet(folder, *made_of, *TRAINING, *words, "--centralised")


def test_it_trains_and_tells_how(made: tuple[Path, Invoked]) -> None:
    folder, done = made
    assert left_running(folder) == []
    records = read(done.results)
    whole = rounds(records)
    assert [record["round"] for record in whole] == [1, 2, 3]
    assert [record["devices"] for record in whole] == [3, 3, 3]
    assert [f"round {number} of 3: 3 devices, loss" in done.stdout for number in (1, 2, 3)] == [True] * 3
    before, *_, last = [record["accuracy"] for record in of(records, "global")]
    assert last > before + 0.2
    assert f"after round 3: accuracy {last:.4g}" in done.stdout
    [centralised] = of(records, "centralised")
    assert centralised["steps"] == 3 * 2 * 400 // 10
    assert centralised["accuracy"] > 0.6
    devices = of(records, "device")
    assert [device["device"] for device in devices] == ["local:1", "local:2", "local:3"]
    [dataset] = (folder / "build").glob("dataset-*")
    for split, counts in zip(("train", "test"), histogram(dataset), strict=True):
        assert tuple(sum(column) for column in zip(*(device[split] for device in devices), strict=True)) == counts
    assert sum(sum(device["train"]) for device in devices) == 400
    assert records[-1]["event"] == "end"


def test_each_device_gives_its_own_accuracy_and_after_steps_of_its_own(made: tuple[Path, Invoked]) -> None:
    evaluated = of(read(made[1].results), "evaluation")
    assert [record["device"] for record in evaluated] == ["local:1", "local:2", "local:3"]
    assert {record["steps"] for record in evaluated} == {10}
    # Each device has few classes: what is trained on them alone tells them better.
    mean = [sum(record[name] for record in evaluated) / 3 for name in ("accuracy", "personalised_accuracy")]
    assert mean[1] > mean[0]


def test_only_parameters_travel(made: tuple[Path, Invoked]) -> None:
    records = read(made[1].results)
    size = records[0]["array_bytes"]
    assert size == 4 * records[0]["parameters"] == 4 * 12730
    for update in of(records, "update"):
        assert size < update["pushed_bytes"] < size + 1000
        assert size < update["pulled_bytes"] < size + 1500


def test_its_results_are_as_those_of_a_run(made: tuple[Path, Invoked]) -> None:
    results = made[1].results
    names = {path.name for path in results.iterdir()}
    assert {"fleet.jsonl", "report.html", "tiny_trained.onnx", "tiny_state_dict.safetensors"} <= names
    assert {f"tiny_round_{number}.safetensors" for number in (1, 2, 3)} <= names
    [image] = ort.InferenceSession(results / "tiny_trained.onnx").get_inputs()
    assert image.shape[1:] == [28, 28, 1]


def test_its_model_answers_and_is_evaluated_as_that_of_a_run(
    made: tuple[Path, Invoked], made_of: tuple[str, ...]
) -> None:
    folder, done = made
    places = ("--runs", folder / "runs", "--build", folder / "build")
    picture = folder / "picture.png"
    Image.new("L", (28, 28)).save(picture)
    for run in ((), ("--run", done.results.name)):
        answered = invoke("infer", *run, picture, "--json", *places)
        assert answered.code == 0, answered.stderr
        said = json.loads(answered.stdout)
        assert said["model"] == str(done.results / "tiny_trained.onnx")
        assert len(said["images"]) == 1
    # The test images of the whole dataset, as after the last round.
    evaluated = invoke("eval", "--run", done.results, "--data", made_of[-1], *places)
    assert evaluated.code == 0, evaluated.stderr
    last = of(read(done.results), "global")[-1]["accuracy"]
    assert evaluated.accuracies == [pytest.approx(last, abs=1e-6)]


def test_the_same_seed_gives_the_same_model_and_another_another(
    made: tuple[Path, Invoked], made_of: tuple[str, ...], tmp_path: Path
) -> None:
    folder, first = made
    words = ("--devices", "local:3", "--rounds", "1", "--partition", "dirichlet:0.5")
    same, other = (fleet(folder, *made_of, *TRAINING, *words, "--seed", seed, runs=tmp_path).results for seed in "12")
    name = "tiny_round_1.safetensors"
    assert (same / name).read_bytes() == (first.results / name).read_bytes()
    assert (other / name).read_bytes() != (first.results / name).read_bytes()


def test_a_fleet_that_goes_on_draws_the_devices_that_it_would_have_drawn(
    made: tuple[Path, Invoked], made_of: tuple[str, ...], tmp_path: Path
) -> None:
    words = (*made_of, *TRAINING, "--devices", "local:3", "--fraction", "0.4", "--build", str(made[0] / "build"))
    whole, part = (
        invoke("fleet", *words, "--rounds", rounds, "--runs", tmp_path / rounds).results for rounds in ("3", "1")
    )
    # As if the second had been asked for three rounds, and ended after the first.
    asked = json.loads((part / "asked.json").read_text())
    (part / "asked.json").write_text(json.dumps({**asked, "rounds": "3"}))
    lines = (part / "fleet.jsonl").read_text().splitlines(keepends=True)
    (part / "fleet.jsonl").write_text("".join(line for line in lines if json.loads(line)["event"] != "end"))
    fleet(tmp_path, "--resume", str(part))
    drawn = [[(update["round"], update["device"]) for update in of(read(r), "update")] for r in (whole, part)]
    assert drawn[0] == drawn[1]
    assert [number for number, _ in drawn[0]] == [1, 2, 3]
    assert (part / "tiny_round_3.safetensors").read_bytes() == (whole / "tiny_round_3.safetensors").read_bytes()


@pytest.mark.slow
def test_killed_five_times_at_random_moments_it_ends_with_the_same_model(
    made: tuple[Path, Invoked], made_of: tuple[str, ...], tmp_path: Path
) -> None:
    folder, whole = made
    words = ["--devices", "local:3", "--rounds", "3", "--partition", "dirichlet:0.5"]
    draws = random.Random()
    begun = started(["fleet", *made_of, *TRAINING, *words, "--build", str(folder / "build"), "--runs", str(tmp_path)])
    wait_for(lambda: bool(list(tmp_path.glob("*/fleet.jsonl"))))
    for _ in range(5):
        time.sleep(draws.uniform(0, 8))
        begun.kill()
        begun.wait()
        wait_for(lambda: left_running(folder) == [])
        begun = started(["fleet", "--resume", "--runs", str(tmp_path)])
        if begun_at_its_end(tmp_path):
            break
    output, _ = begun.communicate(timeout=300)
    [results] = tmp_path.iterdir()
    assert of(read(results), "end"), output
    for number in (1, 2, 3):
        name = f"tiny_round_{number}.safetensors"
        assert (results / name).read_bytes() == (whole.results / name).read_bytes()
    assert [record["round"] for record in rounds(read(results))] == [1, 2, 3]


def started(words: Sequence[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "invoke", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def begun_at_its_end(runs: Path) -> bool:
    """Whether the fleet that was killed had come to its end."""
    [results] = runs.iterdir()
    return bool(of(read(results), "end"))


@pytest.mark.slow
def test_when_its_superlink_is_killed_it_says_so_and_goes_on_later(
    made: tuple[Path, Invoked], made_of: tuple[str, ...], tmp_path: Path
) -> None:
    folder, whole = made
    words = ["--devices", "local:3", "--rounds", "3", "--partition", "dirichlet:0.5"]
    begun = started(["fleet", *made_of, *TRAINING, *words, "--build", str(folder / "build"), "--runs", str(tmp_path)])
    wait_for(lambda: any("tiny_round_1" in path.name for path in tmp_path.glob("*/*")))
    children = Path(f"/proc/{begun.pid}/task/{begun.pid}/children").read_text().split()
    [superlink] = [pid for pid in children if b"flower-superlink" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(int(superlink), signal.SIGKILL)
    output, _ = begun.communicate(timeout=300)
    assert begun.returncode == 8
    assert "went away" in output
    assert "`invoke fleet --resume` goes on" in output
    assert "Traceback" not in output
    assert left_running(folder) == []
    resumed = fleet(tmp_path, "--resume", str(next(tmp_path.iterdir())))
    name = "tiny_round_3.safetensors"
    assert (resumed.results / name).read_bytes() == (whole.results / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--devices", "local:0"), "--devices local:0: give local:4"),
        (("--devices", "local:2,local:2"), "once"),
        (("--strategy", "fedbest"), "--strategy fedbest: give fedavg, "),
        (("--strategy", "fedprox"), "give fedprox,proximal_mu=0.01"),
        (("--partition", "dirichlet:0"), "give iid, dirichlet:0.5"),
        (("--fraction", "0"), "a number above 0 and at most 1"),
        (("--compress", "int8"), "--compress int8: give float16"),
        (("--superlink", "fleet.example.org:8000"), "give its --root-certificates"),
        (("--superlink", "fleet"), "give HOST:PORT"),
        (("--data", "{serial}", "--partition", "iid"), "leave it out"),
        (("--data", "device:/x"), "local:1 is this machine"),
        (("--resume",), "has no fleet to go on with"),
    ],
)
def test_what_cannot_be_meant_is_one_line(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    places = () if "--resume" in words else ("--build", str(tmp_path / "build"))
    done = invoke("fleet", *words, *places, "--runs", tmp_path / "runs")
    assert done.code != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "runs").glob("*"))


def test_a_key_that_is_none_is_one_line(made_of: tuple[str, ...], tmp_path: Path) -> None:
    ssh = tmp_path / "local-1"
    ssh.write_text("no key")
    for key, said in (("nothere", "No such file"), (str(tmp_path / "{serial}"), f"{ssh} cannot be read")):
        words = ("--devices", "local:1", "--auth-supernode-private-key", key, *TRAINING)
        done = invoke("fleet", *made_of, *words, "--build", tmp_path / "build", "--runs", tmp_path / "runs")
        assert done.code == 2
        assert done.stderr.splitlines()[-1].startswith("error: --auth-supernode-private-key")
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_without_flower_it_says_how_to_install_it(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as u\nright = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'flwr' else right(name, package)\n"
    )
    done = invoke("fleet", "--build", tmp_path / "build", env={"PYTHONPATH": str(hidden)})
    assert done.code == 2
    assert done.stderr.splitlines()[-1] == "error: a fleet needs Flower: pip install -c constraints.txt '.[fleet]'"
    assert not (tmp_path / "build" / "fleet").exists()


def test_each_device_may_have_data_of_its_own(made_of: tuple[str, ...], tmp_path: Path) -> None:
    data = Path(made_of[-1])
    for number in (1, 2):
        (tmp_path / f"local-{number}").symlink_to(data)
    words = ("--devices", "local:2", "--rounds", "1", "--data", str(tmp_path / "{serial}"))
    done = fleet(tmp_path, *made_of[:2], *TRAINING, *words)
    records = read(done.results)
    assert records[0]["partition"] is None
    assert [sum(device["train"]) for device in of(records, "device")] == [400, 400]
    assert of(records, "global") == []
    assert json.loads((done.results / "asked.json").read_text())["rounds"] == "1"


def test_windows_of_sensors_are_parted_and_trained_on(tmp_path: Path) -> None:
    data, model = tmp_path / "motions.npz", f"{of_arrays.__file__}:motions"
    arrays: dict[str, Any] = of_arrays.data("motions", 400)
    np.savez(data, **arrays)
    words = ("--devices", "local:2", "--rounds", "5", "--partition", "iid")
    done = fleet(tmp_path, "--model", model, "--data", str(data), *TRAINING, *words)
    before, *_, last = [record["accuracy"] for record in of(read(done.results), "global")]
    assert before < 0.5
    assert last > 0.7
    trained = ort.InferenceSession(done.results / "motions_trained.onnx")
    [dataset] = (tmp_path / "build").glob("dataset-*")
    test = load_dataset(dataset).splits["test"]
    samples, classes = test.batch(np.arange(len(test)))
    [logits] = trained.run(["logits"], {trained.get_inputs()[0].name: samples})
    assert np.mean(logits.argmax(1) == classes) == pytest.approx(last)
    assert "Training samples of each device by class" in (done.results / "report.html").read_text()


def test_values_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    np.savez(tmp_path / "levels.npz", x=np.ones((40, 5), np.float32), y=np.linspace(0, 1, 40, dtype=np.float32))
    places = ("--build", tmp_path / "build", "--runs", tmp_path / "runs")
    done = invoke("fleet", "--devices", "local:2", "--data", tmp_path / "levels.npz", *places)
    assert done.code != 0
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "a fleet trains on samples of one class each, those of levels are of 1 values" in error
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("build/*/export"))
