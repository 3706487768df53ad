"""`invoke run --target arm64` against the emulated device: a real adb server, a real adbd, real arm64 binaries."""

from __future__ import annotations

import contextlib
import gzip
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from device_runtime.formats.dataset import load_dataset
from device_runtime.formats.manifest import read_manifest
from pipeline.datasets.layouts.idx import find_files
from pipeline.errors import TargetError
from pipeline.machine.facts import read_facts
from pipeline.packing.abi import ARM64
from pipeline.results.records.results import read_results
from pipeline.targets.adb.adb import Adb
from pipeline.targets.device import AdbTarget, connect
from tests.emulator.device import EmulatedDevice, Hardware, emulated_device
from tests.emulator.faults import frozen, gone, unauthorized, unplugged
from tests.emulator.services import change_battery
from tests.in_torch import lenet_accuracy
from tests.invoking import Invoked, invoke, losses

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

CYCLES = 60
ROOT = "/data/local/tmp/train-on-device/package-arm64"


@dataclass(frozen=True)
class First:
    """The first run on the device."""

    run: Invoked
    build: Path
    data: Path


def environment(device: EmulatedDevice) -> dict[str, str]:
    return {"ANDROID_ADB_SERVER_PORT": str(device.adb_server_port), "ANDROID_SERIAL": device.serial}


@pytest.fixture(scope="module")
def data(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first images of real MNIST: emulated, all 10,000 test images would take minutes."""
    folder = tmp_path_factory.mktemp("mnist")
    for file, count in zip(find_files(shared_data / "mnist"), (2000, 2000, 300, 300), strict=True):
        content = gzip.decompress(file.read_bytes())
        is_images = "images" in file.name
        header, size = (16, 784) if is_images else (8, 1)
        head = content[:4] + struct.pack(">I", count) + content[8:header]
        (folder / file.name.removesuffix(".gz")).write_bytes(head + content[header : header + count * size])
    return folder


@pytest.fixture(scope="module")
def first(emulator: EmulatedDevice, data: Path, tmp_path_factory: pytest.TempPathFactory) -> First:
    """A run of the whole process, on a device that is clean before it."""
    assert emulator.shell("ls /data/local/tmp") == ""
    build = tmp_path_factory.mktemp("build-arm64")
    run = invoke(
        *("run", "--target", "arm64", "--data", data, "--cycles", str(CYCLES), "--learning-rate", "0.003"),
        *("--build", build, "--runs", build / "runs"),
        env=environment(emulator),
    )
    assert run.code == 0, run.stderr
    return First(run, build, data)


@pytest.fixture
def target(emulator: EmulatedDevice, first: First, monkeypatch: pytest.MonkeyPatch) -> AdbTarget:
    """The device with the package of the first run on it."""
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(emulator.adb_server_port))
    return connect(emulator.serial, ARM64)


def nothing(done: int, total: int) -> None:
    """Takes progress and does nothing."""


def test_the_device_has_no_python_and_no_glibc_of_its_own(emulator: EmulatedDevice) -> None:
    found = emulator.shell(
        "find / -path /proc -prune -o -path /data -prune -o -name 'python*' -print 2>/dev/null || true"
    )
    assert found == ""
    assert emulator.shell("ls /lib /lib64 /usr/lib 2>/dev/null || true") == ""


def test_it_trains_on_the_device(first: First) -> None:
    untrained, trained, evaluated = first.run.accuracies
    assert 0.03 <= untrained <= 0.2
    assert trained == evaluated
    assert trained > 0.3
    curve = losses(first.run.results)
    assert len(curve) == CYCLES
    assert np.mean(curve[-5:]) < np.mean(curve[:5]) - 0.5
    assert (first.run.results / f"lenet_trained_{CYCLES}.safetensors").is_file()
    assert (first.run.results / "lenet_trained.onnx").is_file()


def test_the_report_tells_of_the_device_and_of_what_it_predicted(first: First, emulator: EmulatedDevice) -> None:
    facts = read_facts(first.run.results)
    assert facts is not None
    assert facts.model == "train-on-device emulator"
    assert facts.system.startswith("Android 8.0.0 (API 26)")
    assert (facts.abi, facts.serial) == ("arm64-v8a", emulator.serial)
    assert facts.memory_bytes
    results = read_results(first.run.results)
    assert results.predicted is not None, results.unpredicted
    predictions = results.predicted.predictions
    assert 1 - len(predictions.wrong()) / len(predictions.labels) == pytest.approx(first.run.accuracies[-1], abs=1e-5)
    names = {path.stem for path in first.run.results.glob("*.png")}
    assert names >= {"loss", "accuracy", "confusion", "wrong_images"}


def test_a_training_goes_on_from_a_checkpoint_on_the_device(first: First, emulator: EmulatedDevice) -> None:
    again = invoke(
        *("train", "--target", "arm64", "--build", first.build, "--cycles", "2"),
        *("--checkpoint", f"lenet_trained_{CYCLES}.safetensors"),
        env=environment(emulator),
    )
    assert again.code == 0, again.stderr
    assert f"lenet_trained_{CYCLES + 2}.safetensors" in emulator.shell(f"ls {ROOT}/output")


def test_what_is_on_the_device_is_its_shells_alone(first: First, emulator: EmulatedDevice) -> None:
    assert emulator.shell("find /data/local/tmp/train-on-device -perm /077") == ""


@pytest.mark.parametrize(
    "hardware",
    # The oldest has no dot products and no atomics of ARMv8.1; the newest has scalable vectors.
    [Hardware(android=10, cpu="cortex-a53"), Hardware(android=14, cpu="max")],
    ids=["the oldest", "the newest"],
)
def test_other_androids_on_other_processors_train_alike(
    hardware: Hardware, first: First, emulator: EmulatedDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(emulator.adb_server_port))
    with beside(emulator, hardware) as device:
        target = connect(device.serial, ARM64)
        target.push(first.build / "package-arm64", nothing)
        assert target.run("train.sh", ["-c", "3", "--learning-rate", "0.003"], lambda line: None) == 0
        target.pull(tmp_path)
    np.testing.assert_allclose(losses(tmp_path), losses(first.run.results)[:3], rtol=1e-4)


def test_the_peak_memory_of_the_training_is_recorded(first: First) -> None:
    end = json.loads((first.run.results / "metrics.jsonl").read_text().splitlines()[-1])
    assert 20 * 2**20 < end["peak_memory_bytes"] < 400 * 2**20


def test_x86_gives_the_same_losses_and_the_same_accuracy(first: First, tmp_path: Path) -> None:
    here = invoke(
        *("run", "--target", "x86", "--data", first.data, "--cycles", "20", "--learning-rate", "0.003"),
        *("--build", first.build, "--runs", tmp_path),
    )
    assert here.code == 0, here.stderr
    np.testing.assert_allclose(losses(first.run.results)[:20], losses(here.results), rtol=1e-4)
    checkpoint = first.run.results / f"lenet_trained_{CYCLES}.safetensors"
    evaluated = invoke("eval", "--checkpoint", checkpoint, "--build", first.build)
    assert evaluated.accuracies == [first.run.accuracies[-1]]


def test_the_trained_model_answers_on_the_device_as_its_evaluation_did(
    first: First, emulator: EmulatedDevice, tmp_path: Path
) -> None:
    split = load_dataset(first.build / "package-arm64" / "dataset").splits["test"]
    pixels, labels = split.batch(np.arange(len(split)))
    for number, (image, label) in enumerate(zip(pixels[..., 0], labels.tolist(), strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / str(label) / f"{number}.png")
    options = ("--run", first.run.results, "--target", "arm64", "--build", first.build)
    said = invoke("infer", tmp_path, "--json", *options, env=environment(emulator))
    assert said.code == 0, said.stderr
    answered = json.loads(said.stdout)
    right = [image["class"] == Path(image["file"]).parent.name for image in answered["images"]]
    assert float(f"{np.mean(right):.6g}") == first.run.accuracies[-1]
    assert answered["latency"]["machine"].startswith("aarch64, ")
    evaluated = invoke("eval", "--data", first.data, *options, env=environment(emulator))
    assert evaluated.accuracies == [first.run.accuracies[-1]], evaluated.stderr
    # The runtime stays for the next time, and what was trained is still there.
    inference = "/data/local/tmp/train-on-device/inference-arm64"
    assert "output" not in emulator.shell(f"ls {inference}").split()
    assert f"lenet_trained_{CYCLES}.safetensors" in emulator.shell(f"ls {ROOT}/output")
    emulator.shell(f"rm -rf {inference}")


def test_the_state_dict_gives_the_devices_accuracy_in_torch_and_starts_another_training_there(
    first: First, emulator: EmulatedDevice, tmp_path: Path
) -> None:
    dataset, state = next(first.build.glob("dataset-*")), first.run.results / "lenet_state_dict.safetensors"
    assert lenet_accuracy(state, dataset) == pytest.approx(first.run.accuracies[-1], abs=5e-4)
    again = invoke(
        *("run", "--target", "arm64", "--data", first.data, "--weights", state, "--cycles", "3"),
        *("--build", tmp_path / "build", "--runs", tmp_path / "runs"),
        env=environment(emulator),
    )
    assert again.code == 0, again.stderr
    assert again.accuracies[0] == first.run.accuracies[-1]
    last = lenet_accuracy(again.results / "lenet_state_dict.safetensors", dataset)
    assert last == pytest.approx(again.accuracies[-1], abs=5e-4)


def test_a_second_run_sends_under_a_hundredth(first: First, emulator: EmulatedDevice, target: AdbTarget) -> None:
    package = first.build / "package-arm64"
    size = read_manifest(package / "manifest.json").size_bytes
    # Another learning rate is an option of the runner: nothing of the package changes.
    again = invoke(
        *("train", "--target", "arm64", "--build", first.build, "--cycles", "1", "--learning-rate", "0.01"),
        env=environment(emulator),
    )
    assert again.code == 0, again.stderr
    assert target.push(package, nothing) < size / 100


def test_the_first_push_of_lenet_and_the_sample_takes_at_most_30_mb(
    emulator: EmulatedDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = invoke("package", "--target", "arm64", "--build", tmp_path)
    assert made.code == 0, made.stderr
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(emulator.adb_server_port))
    with beside(emulator, Hardware()) as device:
        assert connect(device.serial, ARM64).push(tmp_path / "package-arm64", nothing) <= 30 * 10**6


def test_changed_and_removed_files_follow(first: First, emulator: EmulatedDevice, target: AdbTarget) -> None:
    package = first.build / "package-arm64"
    emulator.shell(f"echo damaged >{ROOT}/train.sh; echo more >{ROOT}/model/model.json")
    assert target.push(package, nothing) < 2**20
    assert emulator.shell(f"cat {ROOT}/train.sh") == (package / "train.sh").read_text()


def weights(target: AdbTarget, folder: Path, step: int = 40) -> dict[str, bytes]:
    """Every tensor of the trained checkpoint, optimizer state among them, bit for bit."""
    files = {path.name: path for path in target.pull(folder)}
    tensors = load_file(files[f"lenet_trained_{step}.safetensors"])
    return {name: tensor.tobytes() for name, tensor in tensors.items()}


def test_a_lost_connection_changes_nothing(
    first: First, emulator: EmulatedDevice, target: AdbTarget, tmp_path: Path
) -> None:
    options = ["-c", "40", "--seed", "3"]
    calm: list[str] = []
    target.clear_output()
    assert target.run("train.sh", options, calm.append) == 0
    expected = weights(target, tmp_path / "calm")
    target.clear_output()
    disturbed: list[str] = []
    codes: list[int] = []
    training = threading.Thread(target=lambda: codes.append(target.run("train.sh", options, disturbed.append)))
    training.start()
    wait_for(lambda: "running" in target.status())
    with unplugged(emulator):
        time.sleep(2)
    training.join(timeout=120)
    assert codes == [0]
    assert without_noise(disturbed) == without_noise(calm)
    assert weights(target, tmp_path / "disturbed") == expected


def test_a_training_pauses_while_the_battery_is_low_and_goes_on_to_the_same_result(
    emulator: EmulatedDevice, target: AdbTarget, tmp_path: Path
) -> None:
    lines: list[str] = []
    # As many threads in both trainings: their last bits depend on it.
    same = ["--seed", "3", "--threads", "2"]
    words = ["-c", "100000", *same, "--min-battery", "30"]
    training = threading.Thread(target=target.run, args=("train.sh", words, lines.append))
    target.clear_output()
    training.start()
    metrics = emulator.data / "train-on-device" / "package-arm64" / "output" / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and '"event": "step"' in metrics.read_text(), timeout_s=180)
    change_battery(emulator.folder, {"level": "28"})
    first = paused_at(lines, 1)
    change_battery(emulator.folder, {"level": "100"})
    wait_for(lambda: f"goes on at step {first} after" in "\n".join(lines))
    change_battery(emulator.folder, {"level": "29"})
    second = paused_at(lines, 2)
    change_battery(emulator.folder, {"level": "100"})
    target.stop()
    training.join(timeout=60)
    after_pauses = weights(target, tmp_path / "paused", second)
    assert 0 < first < second
    target.clear_output()
    assert target.run("train.sh", ["-c", str(second), *same], lines.append) == 0
    assert after_pauses == weights(target, tmp_path / "calm", second)


def paused_at(lines: list[str], times: int) -> int:
    """Waits until a training has paused so often; returns the step."""

    def paused() -> list[str]:
        return [line for line in lines if line.startswith("paused at step ")]

    wait_for(lambda: len(paused()) == times)
    step, _, reason = paused()[-1].removeprefix("paused at step ").partition(": ")
    assert reason == f"the battery has {27 + times} %, below --min-battery 30"
    return int(step)


def test_a_running_job_is_found_attached_to_and_stopped(
    emulator: EmulatedDevice, first: First, target: AdbTarget
) -> None:
    ended: list[int] = []
    job = threading.Thread(target=lambda: ended.append(target.run("train.sh", ["-c", "100000"], lambda line: None)))
    job.start()
    wait_for(lambda: "running" in target.status())
    assert invoke("status", env=environment(emulator)).stdout == "running train.sh\n"
    second = invoke("train", "--target", "arm64", "--build", first.build, env=environment(emulator))
    assert second.code != 0
    assert "runs a job" in second.stderr
    assert "invoke stop" in second.stderr
    assert invoke("stop", env=environment(emulator)).code == 0
    job.join(timeout=60)
    assert ended == [143]
    assert invoke("status", env=environment(emulator)).stdout == "ended 143\n"


def test_a_killed_job_keeps_no_lock(emulator: EmulatedDevice, target: AdbTarget) -> None:
    job = threading.Thread(target=lambda: run_quietly(target))
    job.start()
    wait_for(lambda: "running" in target.status())
    emulator.shell(f"kill -KILL -- -$(cat {ROOT}/job/pid)")
    job.join(timeout=60)
    assert target.status() == "died"
    assert target.run("eval_untrained.sh", [], lambda line: None) == 0


def run_quietly(target: AdbTarget) -> None:
    with pytest.raises(TargetError, match="the job was killed"):
        target.run("train.sh", ["-c", "100000"], lambda line: None)


def wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def without_noise(lines: list[str]) -> list[str]:
    return [line for line in lines if "onnxruntime" not in line]


@contextmanager
def beside(emulator: EmulatedDevice, hardware: Hardware) -> Iterator[EmulatedDevice]:
    with emulated_device(hardware, beside=emulator) as device:
        yield device


def refused(device: EmulatedDevice, first: First) -> str:
    run = invoke("run", "--target", "arm64", "--data", first.data, "--build", first.build, env=environment(device))
    assert run.code == 8
    assert "Traceback" not in run.stderr
    return run.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("hardware", "message"),
    [
        (Hardware(abi="armeabi-v7a"), "is armeabi-v7a, not arm64-v8a"),
        (Hardware(disk_bytes=40 * 2**20), "has no space in /data/local/tmp: 7"),
        (Hardware(executable=False), "does not execute programs"),
    ],
    ids=["abi", "space", "noexec"],
)
def test_an_unfit_device_is_named_and_left_clean(
    emulator: EmulatedDevice, first: First, hardware: Hardware, message: str
) -> None:
    with beside(emulator, hardware) as device:
        assert message in refused(device, first)
        assert device.shell("ls -A /data/local/tmp") == ""


def test_a_disk_that_fills_up_during_the_push_is_left_clean(
    emulator: EmulatedDevice, first: First, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The free space that is asked for before the push shrinks while it runs: here it is not looked at.
    monkeypatch.setattr("pipeline.targets.adb.push._check_space", lambda adb, root, size_bytes: None)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(emulator.adb_server_port))
    with beside(emulator, Hardware(disk_bytes=40 * 2**20)) as device:
        with pytest.raises(TargetError, match="disk is full"):
            connect(device.serial, ARM64).push(first.build / "package-arm64", nothing)
        assert device.shell("ls -A /data/local/tmp") == ""


def test_a_device_that_goes_away_during_the_push_is_named_and_can_be_pushed_to_again(
    emulator: EmulatedDevice, first: First, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(emulator.adb_server_port))
    with beside(emulator, Hardware()) as device, contextlib.ExitStack() as cut:
        target = connect(device.serial, ARM64)
        pulled: list[int] = []

        def pull_the_cable(done: int, total: int) -> None:
            if done > total / 2 and not pulled:
                pulled.append(done)
                cut.enter_context(gone(device))

        with pytest.raises(TargetError, match=r"went away during `cd .*plug it in again"):
            target.push(first.build / "package-arm64", pull_the_cable)
        cut.close()
        assert target.push(first.build / "package-arm64", nothing) > 2**20
        assert device.shell("ls -A /data/local/tmp/train-on-device") == "package-arm64\n"


def test_a_device_that_does_not_answer_is_named_with_the_call(emulator: EmulatedDevice, target: AdbTarget) -> None:
    device = Adb(emulator.serial)
    with frozen(emulator), pytest.raises(TargetError, match="did not answer `echo hello` within 3 s"):
        device.execute("echo hello", timeout_s=3)
    assert device.execute("echo hello").text == "hello\n"


def test_several_devices_ask_for_a_serial(emulator: EmulatedDevice, first: First) -> None:
    with beside(emulator, Hardware()) as device:
        env = {"ANDROID_ADB_SERVER_PORT": str(emulator.adb_server_port), "ANDROID_SERIAL": ""}
        run = invoke("status", env=env)
        assert run.code == 8
        assert "choose one with --serial" in run.stderr
        assert device.serial in run.stderr


def test_unready_devices_are_named(emulator: EmulatedDevice, first: First) -> None:
    with unauthorized(emulator) as serial:
        run = invoke("status", "--serial", serial, env=environment(emulator))
        assert run.code == 8
        assert f"{serial} is unauthorized: confirm the key" in run.stderr
    with unplugged(emulator):
        assert "is offline" in refused(emulator, first)
    with gone(emulator):
        assert "adb sees no device" in refused(emulator, first)


def test_no_server_and_no_adb_is_named(first: First) -> None:
    lacking = {"PATH": "/nonexistent", "ADBUTILS_ADB_PATH": "/nonexistent/adb"}
    run = invoke("status", env={"ANDROID_ADB_SERVER_PORT": "1", **lacking})
    assert run.code == 8
    assert "the adb server could not be started: the program '/nonexistent/adb' is not on this machine" in run.stderr
