"""`invoke run --target x86`, as a user types it."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from safetensors.numpy import load_file

from device_runtime.formats.dataset import load_dataset
from device_runtime.formats.metrics import last_start, read_metrics
from pipeline.results.records.training import read_training
from tests.browser import faults
from tests.curves import curves
from tests.faults.table import Tried
from tests.in_torch import lenet_accuracy
from tests.invoking import ROOT, invoke, losses

pytestmark = pytest.mark.slow


def accuracy_from_raw_pixels(model: Path, build: Path) -> float:
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    test = load_dataset(next(build.glob("dataset-*"))).splits["test"]
    pixels, label = test.batch(np.arange(len(test)))
    (logits,) = session.run(["logits"], {session.get_inputs()[0].name: pixels})
    return float(np.mean(np.argmax(logits, axis=1) == label))


@pytest.fixture(scope="module")
def lowered(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the default run on the sample."""
    runs = tmp_path_factory.mktemp("runs")
    run = invoke("run", "--target", "x86", "--build", build, "--runs", runs)
    assert run.code == 0, run.stderr
    untrained, trained, evaluated = run.accuracies
    assert 0.05 <= untrained <= 0.2
    assert trained >= 0.93
    assert evaluated == trained
    headings = [line for line in run.stdout.splitlines() if line.startswith("==")]
    assert headings == [
        "==Evaluating Untrained Model===",
        "========Training on Device=====",
        "===Evaluating Trained Model=====",
    ]
    return run.results


def test_the_results_are_complete(lowered: Path) -> None:
    names = {path.name for path in lowered.iterdir()}
    assert {"log", "metrics.jsonl", "manifest.json", "report.html", "lenet_trained.onnx"} <= names
    assert "lenet_trained_1000.safetensors" in names


def test_the_report_says_what_was_checked_and_shows_what_is_wrong(lowered: Path) -> None:
    page = (lowered / "report.html").read_text()
    assert "<td>against torch: logits " in page
    assert len(re.findall("<figure><img src=.data:image/png;base64,[^>]* alt=.test image ", page)) == 24
    assert faults(lowered / "report.html", 400, 1280) == []


def test_a_report_is_written_again_as_it_was(lowered: Path, build: Path) -> None:
    before = (lowered / "report.html").read_text()
    again = invoke("report", lowered, "--build", build)
    assert (again.code, again.stdout) == (0, f"{lowered / 'report.html'}\n"), again.stderr
    assert (lowered / "report.html").read_text() == before


def test_runs_are_listed_and_compared(lowered: Path) -> None:
    listed = invoke("runs", "--runs", lowered.parent)
    line = next(line for line in listed.stdout.splitlines() if lowered.name in line)
    assert line.split()[3:] == ["lenet", "x86", f"{read_training(lowered).score:.4g}", "1000", "ended"]
    compared = invoke("report", lowered.name, lowered, "--runs", lowered.parent)
    assert compared.stdout == f"{lowered.parent / 'comparison.html'}\n", compared.stderr
    assert "<p>Nothing.</p>" in (lowered.parent / "comparison.html").read_text()


def test_a_training_that_diverges_leaves_its_report(build: Path, tmp_path: Path) -> None:
    run = invoke("run", "--learning-rate", "1e30", "--cycles", "5", "--build", build, "--runs", tmp_path)
    assert run.code == 9
    assert "training diverged; no checkpoint was saved before" in run.stderr.splitlines()[-1]
    (results,) = tmp_path.iterdir()
    assert run.stderr.splitlines()[-2] == f"what it recorded until then is in {results}"
    assert (
        '<span class="state diverged">diverged</span> in step 2: the loss is ' in (results / "report.html").read_text()
    )


def test_the_same_seed_on_as_many_threads_gives_the_same_losses(lowered: Path, build: Path, tmp_path: Path) -> None:
    start = last_start(read_metrics(lowered))
    assert start is not None
    again = invoke("run", "--cycles", "200", "--threads", str(start["threads"]), "--build", build, "--runs", tmp_path)
    assert losses(again.results) == losses(lowered)[:200]


def test_another_seed_gives_other_losses(lowered: Path, build: Path, tmp_path: Path) -> None:
    other = invoke("train", "--cycles", "3", "--seed", "2", "--build", build, "--runs", build / "runs")
    assert other.code == 0
    assert losses(build / "package-x86" / "output") != losses(lowered)[:3]


def test_the_reference_engine_agrees(lowered: Path, build: Path, tmp_path: Path) -> None:
    run = invoke("run", "--engine", "reference", "--build", build, "--runs", tmp_path)
    assert run.code == 0, run.stderr
    np.testing.assert_allclose(losses(run.results)[:100], losses(lowered)[:100], rtol=1e-3)
    accuracy = float((lowered / "log").read_text().splitlines()[-1].split(" = ")[1])
    assert abs(run.accuracies[-1] - accuracy) <= 0.01


def test_all_of_mnist_reaches_the_tutorials_accuracy(tmp_path: Path, shared_data: Path) -> None:
    own = tmp_path / "build"
    run = invoke("run", "--data", shared_data / "mnist", "--cycles", "3000", "--build", own, "--runs", tmp_path)
    assert run.code == 0, run.stderr
    assert run.accuracies[-1] >= 0.975
    checkpoint = run.results / "lenet_trained_3000.safetensors"
    assert invoke("eval", "--checkpoint", checkpoint, "--build", own).accuracies == [run.accuracies[-1]]


def test_the_trained_model_runs_from_raw_pixels(lowered: Path, build: Path) -> None:
    accuracy = float((lowered / "log").read_text().splitlines()[-1].split(" = ")[1])
    assert accuracy_from_raw_pixels(lowered / "lenet_trained.onnx", build) == pytest.approx(accuracy, abs=1e-3)


def test_the_checkpoint_that_was_best_is_the_trained_model(build: Path, tmp_path: Path) -> None:
    words = ("--patience", "2", "--best", "--evaluate-every", "20", "--learning-rate", "0.005")
    run = invoke("run", *words, "--build", build, "--runs", tmp_path)
    assert run.code == 0, run.stderr
    training = read_training(run.results)
    assert training.evaluated_step < training.steps < 1000
    best = max(training.scores["test"].values)
    assert run.accuracies[-2:] == [best, best]
    assert f"({training.evaluated}, after step {training.evaluated_step})" in (run.results / "report.html").read_text()
    assert accuracy_from_raw_pixels(run.results / "lenet_trained.onnx", build) == pytest.approx(best, abs=1e-3)


def test_the_state_dict_gives_the_same_accuracy_in_torch_and_starts_another_training(
    lowered: Path, build: Path, tmp_path: Path
) -> None:
    accuracy = float((lowered / "log").read_text().splitlines()[-1].split(" = ")[1])
    state = lowered / "lenet_state_dict.safetensors"
    assert lenet_accuracy(state, next(build.glob("dataset-*"))) == pytest.approx(accuracy, abs=5e-7)
    words = ("run", "--weights", state, "--cycles", "20", "--seed", "2", "--runs", tmp_path)
    again = invoke(*words, "--build", tmp_path / "build")
    assert again.accuracies[0] == accuracy
    assert "weights:" not in again.stderr
    last = lenet_accuracy(again.results / "lenet_state_dict.safetensors", next(build.glob("dataset-*")))
    assert last == pytest.approx(again.accuracies[-1], abs=5e-7)


def test_a_package_can_be_moved_and_started_from_anywhere(build: Path, tmp_path: Path) -> None:
    moved = tmp_path / "a folder" / "moved"
    shutil.copytree(build / "package-x86", moved, ignore=shutil.ignore_patterns("output"))
    train = ["sh", str(moved / "train.sh"), "-c", "2"]
    done = subprocess.run(train, cwd="/", env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (moved / "output" / "lenet_trained_2.safetensors").is_file()
    assert not list(moved.rglob("__pycache__"))


def test_train_eval_and_pull_are_usable_alone(build: Path, tmp_path: Path) -> None:
    shutil.rmtree(build / "package-x86" / "output", ignore_errors=True)
    nothing_yet = invoke("pull", "--build", build, "--runs", tmp_path / "runs")
    assert nothing_yet.code != 0
    assert "holds no results" in nothing_yet.stderr
    assert invoke("train", "--cycles", "40", "--build", build, "--runs", build / "runs").code == 0
    trained = invoke("train", "--cycles", "30", "--build", build, "--runs", build / "runs")
    evaluated = invoke("eval", "--build", build)
    assert evaluated.accuracies == trained.accuracies
    pulled = invoke("pull", "--build", build, "--runs", tmp_path / "runs")
    assert pulled.code == 0, pulled.stderr
    folder = Path(pulled.stdout.strip())
    assert {"lenet_trained.onnx", "lenet_trained_30.safetensors"} <= {path.name for path in folder.iterdir()}
    assert len(list((tmp_path / "runs").iterdir())) == 1
    # What the longer training before it saved is there too.
    assert accuracy_from_raw_pixels(folder / "lenet_trained.onnx", build) == pytest.approx(trained.accuracies[-1])


def test_a_training_goes_on_from_a_checkpoint(build: Path) -> None:
    output = build / "package-x86" / "output"
    # Its seed is the checkpoint's.
    assert invoke("train", "--cycles", "30", "--seed", "2", "--build", build, "--runs", build / "runs").code == 0
    whole = losses(output)
    assert invoke("train", "--cycles", "20", "--seed", "2", "--build", build, "--runs", build / "runs").code == 0
    checkpoint = output / "lenet_trained_20.safetensors"
    rest = invoke("train", "--cycles", "10", "--checkpoint", checkpoint, "--build", build, "--runs", build / "runs")
    assert rest.code == 0, rest.stderr
    assert losses(output) == whole


def test_a_task_that_is_terminated_ends_the_training(build: Path, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "invoke",
        "train",
        "--threads",
        "1",
        "--cycles",
        "1000000",
        "--build",
        str(build),
        "--runs",
        str(build / "runs"),
    ]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as task:
        assert task.stdout is not None
        assert task.stdout.readline().startswith("100:")
        children = Path(f"/proc/{task.pid}/task/{task.pid}/children").read_text().split()
        task.terminate()
        assert task.wait(timeout=60) == 143
    assert children
    assert not [child for child in children if Path("/proc", child).exists()]


def interrupted(*words: str | Path, after: str) -> str:
    """What a task says that gets Ctrl-C when it has printed a line that starts with `after`."""
    command = [sys.executable, "-m", "invoke", *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as task:
        assert task.stdout is not None
        assert task.stderr is not None
        assert any(line.startswith(after) for line in task.stdout)
        task.send_signal(signal.SIGINT)
        said = task.stderr.read().splitlines()[-1]
    assert task.returncode == 130
    return said


def test_an_interrupted_run_says_how_to_go_on_and_ends_as_if_nothing_had_been(build: Path, tmp_path: Path) -> None:
    shutil.rmtree(build / "package-x86" / "output", ignore_errors=True)
    folders = ("--build", build, "--runs", tmp_path / "runs")
    # As many threads in both: their last bits depend on it, and a trial may choose otherwise the next time.
    options = (
        "--cycles",
        "1500",
        "--learning-rate",
        "0.01",
        "--save-every",
        "50",
        "--augment",
        "crop",
        "--threads",
        "1",
    )
    whole = invoke("run", *options, *folders).results
    said = interrupted("run", "--tensorboard", *options, *folders, after="100:")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [whole.name]
    assert "interrupted; the last checkpoint is of step " in said
    went_on = invoke(*shlex.split(said.split("`")[1])[1:])
    assert went_on.code == 0, went_on.stderr
    both = [
        [(record["step"], record["loss"]) for record in read_metrics(results) if record["event"] == "step"]
        for results in (whole, went_on.results)
    ]
    assert both[0] == both[1]
    tensors = [load_file(results / "lenet_trained_1500.safetensors") for results in (whole, went_on.results)]
    assert all(np.array_equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    assert [point.step for point in curves(went_on.results)["loss/train"]] == list(range(1, 1501))
    again = invoke("run", "--resume", *folders)
    assert again.code == 8
    assert again.stderr.startswith("error: there is no training to go on with")


def test_a_pulled_training_that_was_interrupted_goes_on_in_its_results_folder(build: Path, tmp_path: Path) -> None:
    shutil.rmtree(build / "package-x86" / "output", ignore_errors=True)
    folders = ("--build", build, "--runs", tmp_path / "runs")
    interrupted("run", "--cycles", "700", "--save-every", "50", *folders, after="100:")
    other = invoke("run", "--cycles", "20", "--tensorboard", *folders)
    assert other.code == 0, other.stderr
    assert "x86 still held a training that was not pulled: its results are in " in other.stderr
    first = next(path for path in (tmp_path / "runs").iterdir() if path.name != other.results.name)
    went_on = invoke("run", "--resume", first.name, *folders)
    assert went_on.code == 0, went_on.stderr
    assert went_on.results == first
    # Curves that were there are those of the whole training now.
    assert [point.step for point in curves(first)["loss/train"]] == list(range(1, 701))
    assert [r["step"] for r in read_metrics(first) if r["event"] == "step"] == list(range(1, 701))
    assert (first / "lenet_trained.onnx").is_file()
    assert (other.results / "lenet_trained_20.safetensors").is_file()


def test_what_a_training_left_is_pulled_before_the_package_is_made_anew(build: Path, tmp_path: Path) -> None:
    own = tmp_path / "build"
    shutil.copytree(build, own, symlinks=True)
    folders = ("--build", own, "--runs", tmp_path / "runs")
    for words in (("train", "--cycles", "30"), ("package", "--seed", "2"), ("run", "--seed", "3", "--cycles", "10")):
        done = invoke(*words, "--build", own, *(() if words[0] == "package" else folders[2:]))
        assert done.code == 0, done.stderr
    steps = sorted(len(losses(results)) for results in (tmp_path / "runs").iterdir())
    assert steps == [10, 30]


def test_a_resumed_training_takes_no_other_options(build: Path) -> None:
    run = invoke("run", "--resume", "--learning-rate", "0.1", "--build", build)
    assert run.code == 2
    assert (
        "--resume goes on with the options that the training was started with: leave out --learning-rate" in run.stderr
    )


def test_the_second_of_two_in_a_build_folder_waits(build: Path, tmp_path: Path, tried: Tried) -> None:
    words = [sys.executable, "-m", "invoke", "train", "--threads", "1", "--cycles", "1500", "--build", str(build)]
    with subprocess.Popen([*words, "--runs", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline().startswith("100:")
        second = invoke("train", "--cycles", "1", "--build", build, "--runs", tmp_path)
        assert second.code == 0, second.stderr
        assert f"waiting for another task that uses {build}" in second.stderr
        assert first.poll() is not None or first.wait(10) == 0
    tried("x86 two", "nothing")


def test_a_killed_task_leaves_no_process_and_no_half_folder(tmp_path: Path, tried: Tried) -> None:
    build = tmp_path / "build"
    words = [sys.executable, "-m", "invoke", "package", "--build", str(build)]
    for _ in range(4):
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as task:
            deadline = time.monotonic() + 120
            while not list(build.glob("**/.*.????????")):
                assert time.monotonic() < deadline
                time.sleep(0.005)
            task.kill()
        deadline = time.monotonic() + 10
        while running_in(build):
            assert time.monotonic() < deadline, running_in(build)
            time.sleep(0.1)
    done = invoke("package", "--build", build)
    assert done.code == 0, done.stderr
    assert not list(build.glob("**/.*.????????"))
    tried("x86 host building", "nothing that was built to its end")


def running_in(folder: Path) -> list[str]:
    """Command lines of processes that name the folder."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_text(errors="replace").replace("\0", " "))
    return [line for line in lines if str(folder) in line]


def test_an_output_that_nobody_reads_ends_the_task_in_silence(build: Path, tmp_path: Path) -> None:
    shutil.rmtree(build / "package-x86" / "output", ignore_errors=True)
    options = f"--threads 1 --cycles 100000 --build '{build}' --runs '{tmp_path}'"
    words = f"'{sys.executable}' -m invoke train {options} | head -n 1"
    done = subprocess.run(["sh", "-c", words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("100:")
    assert done.stderr == ""


def test_what_was_damaged_is_made_again(build: Path, tmp_path: Path) -> None:
    own = tmp_path / "build"
    shutil.copytree(build, own, symlinks=True)
    images = next(own.glob("dataset-*/train/*/*.bmp"))
    for file in (own / "package-x86" / "model" / "train_step.onnx", own / "lenet" / "export" / "forward.onnx", images):
        file.unlink()
        assert invoke("package", "--build", own).code == 0
        assert file.is_file()
    (own / "package-x86" / "manifest.json").write_text("{}")
    assert invoke("package", "--build", own).code == 0
    assert invoke("train", "--cycles", "1", "--build", own, "--runs", own / "runs").code == 0


def test_verbose_names_every_node(build: Path) -> None:
    run = invoke("train", "--cycles", "1", "--verbose", "--build", build, "--runs", build / "runs")
    assert run.code == 0, run.stderr
    assert "5000 images" in run.stdout
    assert "batch size 32" in run.stdout
    assert "\nGemm gradient/fc1.weight\n" in run.stdout
    assert "\n  output gradient/fc1.weight: float32 120×400, -" in run.stdout


def test_verbose_reads_frozen_weights_that_stand_in_a_file(tmp_path: Path) -> None:
    module = tmp_path / "net.py"
    module.write_text(
        "from pipeline.recipe import Preprocessing, Recipe\n"
        "from torch import nn\n"
        'RECIPE = Recipe(Preprocessing(28, 28), trainable=("0.*", "3.*"))\n'
        "def network():\n"
        "    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 32, 3), nn.Flatten(), nn.Linear(18432, 10))\n"
    )
    package = invoke("package", "--model", f"{module}:network", "--build", tmp_path / "build")
    assert package.code == 0, package.stderr
    assert (tmp_path / "build" / "package-x86" / "model" / "frozen.bin").is_file()
    folders = ("--build", tmp_path / "build", "--runs", tmp_path / "runs")
    run = invoke("train", "--cycles", "1", "--verbose", *folders)
    assert run.code == 0, run.stderr
    assert "\n  input 1.weight: float32 32×8×3×3, -" in run.stdout


def test_a_torch_module_of_the_users_own(build: Path, tmp_path: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text(
        "from torch import nn\n"
        "def tiny():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))\n"
    )
    run = invoke("run", "--model", f"{module}:tiny", "--cycles", "300", "--build", tmp_path / "b", "--runs", tmp_path)
    assert run.code == 0, run.stderr
    assert run.accuracies[-1] > 0.7
    forward = tmp_path / "b" / "tiny" / "export" / "forward.onnx"
    # With its weights inside, as files are that are handed on.
    onnx.save(onnx.load(forward), tmp_path / "own.onnx")
    onnx_run = invoke(
        "run", "--model", tmp_path / "own.onnx", "--cycles", "300", "--build", tmp_path / "b", "--runs", tmp_path
    )
    assert onnx_run.code == 0, onnx_run.stderr
    assert onnx_run.accuracies[-1] > 0.7


WRONG = {
    "an unknown target": (["run", "--target", "mips"], "unknown target 'mips'"),
    "an unknown model": (["run", "--model", "vgg"], "unknown model 'vgg'"),
    "a missing model file": (["run", "--model", "no.onnx"], "no.onnx does not exist"),
    "a missing data folder": (["run", "--data", "/no/such"], "/no/such does not exist"),
    "a negative seed": (["run", "--seed", "-1"], "--seed -1"),
    "a negative learning rate": (
        ["run", "--learning-rate", "-1"],
        "--learning-rate -1: give a learning rate: a number of",
    ),
    "a batch larger than the data": (["run", "--batch-size", "6000"], "give a smaller --batch-size"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_gives_one_line(name: str, build: Path, tmp_path: Path) -> None:
    words, message = WRONG[name]
    run = invoke(*words, "--build", build, "--runs", tmp_path)
    assert run.code != 0
    assert message in run.stderr.splitlines()[-1] + run.stdout
    assert "Traceback" not in run.stderr + run.stdout
    assert not list(tmp_path.iterdir())


def test_a_read_only_build_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = invoke("package", "--build", tmp_path / "file" / "build")
    assert run.code != 0
    assert str(tmp_path / "file") in run.stderr
    assert "Traceback" not in run.stderr


def test_a_checkpoint_cut_short_is_refused(lowered: Path, build: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((lowered / "lenet_trained_1000.safetensors").read_bytes()[:-100])
    run = invoke("eval", "--checkpoint", cut, "--build", build)
    assert run.code != 0
    assert "is not a whole checkpoint" in run.stdout + run.stderr


def test_nothing_is_built_again_while_its_inputs_stay(build: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in build.rglob("*.onnx")}
    assert invoke("package", "--build", build).code == 0
    assert {path: path.stat().st_mtime_ns for path in build.rglob("*.onnx")} == before


def test_the_scripts_are_executable(package: Path) -> None:
    for name in ("train.sh", "eval.sh", "eval_untrained.sh"):
        assert (package / name).stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize(
    "name", ["export", "artifacts", "convert", "package", "train", "eval", "pull", "run", "runtime", "bench"]
)
def test_each_task_explains_itself(name: str) -> None:
    shown = invoke("--help", name)
    assert shown.code == 0
    assert "\n  --build=PATH " in shown.stdout


def test_a_full_disk_is_named_and_nothing_half_written_stays(tmp_path: Path, tried: Tried) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], check=True)
    try:
        run = invoke("package", "--build", disk / "build")
        left = {path.name for path in (disk / "build").iterdir()}
        subprocess.run(["mount", "-o", "remount,size=1g", disk], check=True)
        assert invoke("package", "--build", disk / "build").code == 0
    finally:
        subprocess.run(["umount", disk], check=True)
    assert run.code != 0
    assert "No space left on device" in run.stderr
    assert "Traceback" not in run.stderr
    assert not any(name.startswith(".") for name in left)
    tried("x86 disk building", "nothing that was built to its end")
