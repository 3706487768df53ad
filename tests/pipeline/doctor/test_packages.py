"""The doctor in environments in which something is missing or damaged: real ones, made of this one's packages."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.doctor import project
from pipeline.doctor.importing import failed_imports
from pipeline.doctor.packages import canonical, examine, fits
from pipeline.doctor.project import Project, read_project
from pipeline.errors import PipelineError
from tests.invoking import ROOT, Invoked
from tests.pipeline.doctor.test_devices import lines_of

HERE = Path(sysconfig.get_path("purelib"))
# Nothing listens there, and nobody starts a server that a run on this machine does without.
NO_SERVER = {"ANDROID_ADB_SERVER_PORT": "1", "ANDROID_SERIAL": "", "ADB_SERVER_SOCKET": ""}


def environment(folder: Path, *, only: Sequence[str] = ("",), without: Sequence[str] = ()) -> Path:
    """A virtual environment with links to this one's packages; returns its folder of packages.

    Args:
      folder: becomes the environment.
      only: how the names of those that it gets begin.
      without: how the names of those begin that it does not get.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    [packages] = folder.glob("lib/python*/site-packages")
    for path in HERE.iterdir():
        if path.name.startswith(tuple(only)) and not (without and path.name.startswith(tuple(without))):
            (packages / path.name).symlink_to(path)
    return packages


def doctor_in(packages: Path) -> Invoked:
    python = packages.parents[2] / "bin" / "python"
    build = packages.parents[2] / "build"
    words: list[str | Path] = [python, "-m", "invoke", "doctor", "--build", build, "--runs", build / "runs"]
    env = {**os.environ, **NO_SERVER, "PYTHONPATH": ""}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    return Invoked(done.returncode, done.stdout, done.stderr)


def install(packages: Path, name: str, version: str, module: str) -> None:
    """Writes what pip notes of a package that it installed."""
    notes = packages / f"{name.replace('-', '_')}-{version}.dist-info"
    notes.mkdir()
    (notes / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (notes / "RECORD").write_text(f"{module}/__init__.py,,\n")


def mend(doctor: Invoked, said: str) -> list[str]:
    """The words of the command under a line."""
    lines = doctor.stdout.splitlines()
    [number] = [number for number, line in enumerate(lines) if said in line]
    return shlex.split(lines[number + 1].strip().removeprefix("→ "))


def test_with_nothing_but_invoke_there_is_a_line_for_every_package(tmp_path: Path) -> None:
    doctor = doctor_in(environment(tmp_path / "bare", only=["invoke"]))
    assert (doctor.code, doctor.stderr) == (1, "")
    missing = lines_of(doctor, "fix")
    for name in ("adbutils", "numpy", "onnx", "onnxruntime-training-cpu", "pillow", "rich", "torch"):
        assert f"{name} is not installed, and needed" in missing
    assert "pip is not installed" in missing
    assert "invoke 3" in "".join(lines_of(doctor, "ok"))
    command = mend(doctor, "onnx is not installed")
    assert command[0] == str(tmp_path / "bare" / "bin" / "python")
    assert command[1:] == ["-m", "pip", "install", "-c", str(ROOT / "constraints.txt"), "onnx>=1.16.2,<1.17"]
    assert doctor.stdout.splitlines()[-1].endswith("to mend before `invoke run --target x86`")


def test_damage_of_every_kind_is_named_with_what_mends_it(tmp_path: Path) -> None:
    without = ("rich", "numpy-", "safetensors", "requests", "onnx-", "onnx", "adbutils")
    packages = environment(tmp_path / "damaged", without=without)
    for path in (
        *HERE.glob("onnx-*"),
        *HERE.glob("onnxruntime*"),
        *HERE.glob("safetensors-*"),
        *HERE.glob("adbutils-*"),
    ):
        (packages / path.name).symlink_to(path)
    for name in ("onnx", "adbutils"):
        (packages / name).mkdir()
        whole = (HERE / name / "__init__.py").read_bytes()
        # As a disk that was full leaves a file.
        (packages / name / "__init__.py").write_bytes(whole[: len(whole) // 2] + b"\n(")
    install(packages, "numpy", "1.26.4", "numpy")
    install(packages, "onnxruntime", "1.31.1", "onnxruntime")
    doctor = doctor_in(packages)
    assert (doctor.code, doctor.stderr) == (1, "")
    missing = lines_of(doctor, "fix")
    assert "rich is not installed, and needed" in missing
    assert "numpy 1.26.4: >=2.0 is needed" in missing
    assert "requests is not installed, and needed by adbutils" in missing
    assert any(line.startswith("onnx 1.16.2 cannot be imported: SyntaxError") for line in missing)
    assert "--force-reinstall" in mend(doctor, "onnx 1.16.2 cannot be imported")
    assert any(line.startswith("safetensors") and "ModuleNotFoundError" in line for line in missing)
    clash = "onnxruntime lies over onnxruntime-training-cpu: both are the module onnxruntime"
    assert any(line.startswith(clash) for line in missing)
    assert {"uninstall", "onnxruntime", "&&", "install", "onnxruntime-training-cpu==1.19.2"} <= set(mend(doctor, clash))
    unasked = "no device was looked for: adbutils cannot be imported (SyntaxError"
    assert any(line.startswith(unasked) for line in lines_of(doctor, "note"))


def test_this_environment_is_as_the_project_requires() -> None:
    found = examine(read_project())
    assert [finding.said for finding in found if finding.state != "ok"] == []
    assert any(finding.said.startswith("torch 2.13.0") and ", for the CPU" in finding.said for finding in found)


def test_outside_a_checkout_the_installation_is_read_and_where_neither_is_there_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "NAME", "no-such-project")
    with pytest.raises(PipelineError, match="no-such-project is not installed"):
        read_project(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\n')
    with pytest.raises(PipelineError, match="no-such-project is not installed"):
        read_project(tmp_path)


def test_another_version_than_the_tests_ran_with_is_ok_and_said(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("numpy==2.0.0\n")
    [numpy] = examine(Project(">=3.11", ("numpy>=2.0",), tmp_path / "constraints.txt"))
    assert numpy.state == "ok"
    assert numpy.said.endswith("(tested with 2.0.0)")


def test_what_several_packages_lack_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        install(tmp_path, name, "not a version", name)
        with (tmp_path / f"{name}-not a version.dist-info" / "METADATA").open("a") as notes:
            notes.write("Requires-Dist: no-such-thing>=1\nRequires-Dist: @ what nobody can mean\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = [finding.said for finding in examine(Project(">=3.11", ("first", "second>=1"), None))]
    assert [said for said in found if "no-such-thing" in said] == [
        "no-such-thing is not installed, and needed by first"
    ]
    assert "second not a version: >=1 is needed" in found


def test_a_variable_that_adbutils_cannot_read_is_no_damage_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "adb")
    assert failed_imports({"adbutils": ["adbutils"], "missing": ["no_such_module"]}).keys() == {"missing"}


def test_requirements_of_other_machines_do_not_count() -> None:
    assert examine(Project(">=3.11", ("no-such-thing>=1; sys_platform == 'win32'",), None)) == []


@pytest.mark.parametrize(
    ("requirement", "version", "does"),
    [
        ("onnx>=1.16.2,<1.17", "1.16.2", True),
        ("onnx>=1.16.2,<1.17", "1.17.0", False),
        ("torch>=2.13", "2.13.0+cpu", True),
    ],
)
def test_versions_are_compared_as_pip_compares_them(requirement: str, version: str, does: bool) -> None:
    assert fits(requirement, version) is does


def test_names_are_compared_as_pip_compares_them() -> None:
    assert canonical("Efficientnet_lite.pytorch>=0.1") == "efficientnet-lite-pytorch"
