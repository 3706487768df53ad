"""Trainings on the device are jobs of their own: found, paused, stopped, killed, and untouched by a lost connection."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from pipeline.errors import TargetError
from pipeline.targets.device import AdbTarget
from tests.emulator.faults import unplugged
from tests.emulator.services import change_battery
from tests.faults.training import wait_for
from tests.invoking import invoke
from tests.x86_device.packaged import ROOT, Packaged

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

# As many threads in all trainings that are compared: their last bits depend on it.
SAME = ("--seed", "3", "--threads", "2")
ENDLESS = ("-c", "10000000")


def weights(target: AdbTarget, folder: Path, step: int) -> dict[str, bytes]:
    """Every tensor of the trained checkpoint, optimizer state among them, bit for bit."""
    files = {path.name: path for path in target.pull(folder)}
    tensors = load_file(files[f"lenet_trained_{step}.safetensors"])
    return {name: tensor.tobytes() for name, tensor in tensors.items()}


def test_a_lost_connection_changes_nothing(packaged: Packaged, target: AdbTarget, tmp_path: Path) -> None:
    count = 400
    options = ["-c", str(count), *SAME]
    calm: list[str] = []
    target.clear_output()
    assert target.run("train.sh", options, calm.append) == 0
    expected = weights(target, tmp_path / "calm", count)
    target.clear_output()
    disturbed: list[str] = []
    codes: list[int] = []
    training = threading.Thread(target=lambda: codes.append(target.run("train.sh", options, disturbed.append)))
    training.start()
    wait_for(target.running)
    with unplugged(packaged.device):
        time.sleep(2)
    training.join(timeout=240)
    assert codes == [0]
    assert without_noise(disturbed) == without_noise(calm)
    assert weights(target, tmp_path / "disturbed", count) == expected


def without_noise(lines: list[str]) -> list[str]:
    return [line for line in lines if "onnxruntime" not in line]


def test_a_training_pauses_while_the_battery_is_low_and_goes_on_to_the_same_result(
    packaged: Packaged, target: AdbTarget, tmp_path: Path
) -> None:
    device = packaged.device
    lines: list[str] = []
    words = [*ENDLESS, *SAME, "--min-battery", "30"]
    training = threading.Thread(target=target.run, args=("train.sh", words, lines.append))
    target.clear_output()
    training.start()
    metrics = device.data / "train-on-device" / "package-x86-device" / "output" / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and '"event": "step"' in metrics.read_text())
    change_battery(device.folder, {"level": "28"})
    first = paused_at(lines, 1)
    change_battery(device.folder, {"level": "100"})
    wait_for(lambda: f"goes on at step {first} after" in "\n".join(lines))
    change_battery(device.folder, {"level": "29"})
    second = paused_at(lines, 2)
    change_battery(device.folder, {"level": "100"})
    target.stop()
    training.join(timeout=240)
    after_pauses = weights(target, tmp_path / "paused", second)
    assert 0 < first < second
    target.clear_output()
    assert target.run("train.sh", ["-c", str(second), *SAME], lines.append) == 0
    assert after_pauses == weights(target, tmp_path / "calm", second)


def paused_at(lines: list[str], times: int) -> int:
    """Waits until a training has paused so often; returns the step."""

    def paused() -> list[str]:
        return [line for line in lines if line.startswith("paused at step ")]

    wait_for(lambda: len(paused()) == times)
    step, _, reason = paused()[-1].removeprefix("paused at step ").partition(": ")
    assert reason == f"the battery has {27 + times} %, below --min-battery 30"
    return int(step)


def test_a_running_job_is_found_attached_to_and_stopped(packaged: Packaged, target: AdbTarget) -> None:
    ended: list[int] = []
    job = threading.Thread(target=lambda: ended.append(target.run("train.sh", ENDLESS, lambda line: None)))
    job.start()
    wait_for(target.running)
    assert invoke("status", env=packaged.env).stdout == "running train.sh\n"
    second = packaged.invoke("train")
    assert second.code != 0
    assert "runs a job" in second.stderr
    assert "invoke stop" in second.stderr
    assert invoke("stop", env=packaged.env).code == 0
    job.join(timeout=60)
    assert ended == [143]
    assert invoke("status", env=packaged.env).stdout == "ended 143\n"


def test_a_killed_job_keeps_no_lock(packaged: Packaged, target: AdbTarget) -> None:
    job = threading.Thread(target=lambda: run_quietly(target))
    job.start()
    wait_for(target.running)
    packaged.device.shell(f"kill -KILL -- -$(cat {ROOT}/job/pid)")
    job.join(timeout=60)
    assert target.status() == "died"
    assert target.run("eval_untrained.sh", [], lambda line: None) == 0


def run_quietly(target: AdbTarget) -> None:
    with pytest.raises(TargetError, match="the job was killed"):
        target.run("train.sh", ENDLESS, lambda line: None)
