"""examples/cpp, here and cross-compiled on the emulated device: it trains to the losses of the Python runner."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file

from pipeline.packing.abi import ARM64
from tests.cpp.toolchain import CROSS, Toolchain, toolchain
from tests.emulator.device import EmulatedDevice
from tests.invoking import ROOT, invoke, losses
from tests.web_runtime.javascript import run

CYCLES = 30
TOLERANCE = 1e-4
THERE = "/data/local/tmp/cpp"
LOADER = f"{THERE}/{ARM64.loader} --library-path {THERE}"

# npm's library is 17 MB of them; Debian's for arm64 comes with 40 others, each padded to 64 KiB, 32 MB in all.
MOST_BYTES = 25_000_000


@pytest.fixture(scope="module")
def compilers(may_emulate: None) -> Iterator[Toolchain]:
    with toolchain() as found:
        yield found


@pytest.fixture(scope="module")
def program(compilers: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a device takes: the program and all that it needs."""
    folder = tmp_path_factory.mktemp("device")
    trainer = compilers.build("arm64", *CROSS)
    shutil.copy(trainer, folder)
    for library in compilers.libraries(trainer):
        shutil.copy(library, folder / library.name)
    return folder


@pytest.fixture(scope="module")
def small_package(made_of: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LeNet with the first images of MNIST: emulated, more would take minutes."""
    build = tmp_path_factory.mktemp("small_package")
    made = invoke("package", "--build", build, "--data", made_of[-1])
    assert made.code == 0, made.stderr
    return build / "package-x86"


@dataclass(frozen=True)
class Trained:
    """What the Python runner prints and writes of the training that a program repeats."""

    printed: str
    losses: list[float]
    tensors: dict[str, npt.NDArray[Any]]


@pytest.fixture(scope="module")
def theirs(small_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("theirs")
    done = run(small_package / "train.sh", "-c", str(CYCLES), "--threads", "1", cwd=folder)
    assert done.code == 0, done.stderr
    output = small_package / "output"
    return Trained(done.stdout, losses(output), load_file(output / f"lenet_trained_{CYCLES}.safetensors"))


def check(printed: str, checkpoint: Path, theirs: Trained) -> None:
    """Checks what a program printed and wrote."""
    found = [float(loss) for loss in re.findall(r"^\d+: Loss is (\S+)", printed, re.MULTILINE)]
    assert len(found) == CYCLES
    np.testing.assert_allclose(found, theirs.losses, atol=TOLERANCE)
    accuracy = re.compile(r"^accuracy = (\S+)", re.MULTILINE)
    assert accuracy.findall(printed) == accuracy.findall(theirs.printed)
    for name, tensor in load_file(checkpoint).items():
        np.testing.assert_allclose(tensor, theirs.tensors[name], atol=TOLERANCE)


def test_the_source_is_one_short_file() -> None:
    assert [path.name for path in (ROOT / "examples/cpp").glob("*.cpp")] == ["train.cpp"]
    assert len((ROOT / "examples/cpp/train.cpp").read_text().splitlines()) <= 250


@pytest.mark.slow
def test_it_trains_here_to_the_losses_of_x86(compilers: Toolchain, small_package: Path, theirs: Trained) -> None:
    for part in ("model", "dataset"):
        shutil.copytree(small_package / part, compilers.work / "package" / part)
    printed = compilers.run(compilers.build("x86").relative_to(compilers.work), "package", "out", str(CYCLES))
    check(printed, compilers.work / "out", theirs)


@pytest.mark.slow
@pytest.mark.emulator
def test_it_trains_on_a_device_to_the_losses_of_x86(
    program: Path, small_package: Path, theirs: Trained, emulator: EmulatedDevice, tmp_path: Path
) -> None:
    assert sum(path.stat().st_size for path in program.iterdir()) < MOST_BYTES
    emulator.adb("-s", emulator.serial, "push", program, THERE, timeout_s=300)
    for part in ("model", "dataset"):
        emulator.adb("-s", emulator.serial, "push", small_package / part, f"{THERE}/package/{part}", timeout_s=300)
    printed = emulator.shell(f"cd {THERE} && {LOADER} ./train package out.safetensors {CYCLES} 2>&1", timeout_s=600)
    emulator.adb("-s", emulator.serial, "pull", f"{THERE}/out.safetensors", tmp_path)
    check(printed, tmp_path / "out.safetensors", theirs)


@pytest.mark.slow
@pytest.mark.emulator
def test_it_draws_the_orders_of_the_vectors(program: Path, compilers: Toolchain, emulator: EmulatedDevice) -> None:
    order = compilers.compile(ROOT / "tests/cpp/order.cpp", "order")
    for file in (*program.iterdir(), order, ROOT / "tests/vectors/order.json"):
        emulator.adb("-s", emulator.serial, "push", file, f"{THERE}/{file.name}", timeout_s=300)
    assert emulator.shell(f"{LOADER} {THERE}/order {THERE}/order.json 2>/dev/null", timeout_s=300) == "32 orders\n"
