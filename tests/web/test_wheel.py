"""Who installed the wheel has what a browser's package is made of, too."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

from device_runtime.formats.manifest import check_files, read_manifest
from pipeline.commands import run
from tests.invoking import ROOT, train_on_device

SOURCES = ("pipeline", "device_runtime", "web_runtime", "packaging")
FILES = ("pyproject.toml", "README.md", "LICENSE")


def test_the_installed_program_packages_for_a_browser(build: Path, tmp_path: Path) -> None:
    checkout, installed = tmp_path / "checkout", tmp_path / "installed"
    for name in SOURCES:
        shutil.copytree(ROOT / name, checkout / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, checkout / name)
    run([sys.executable, "-m", "pip", "-q", "wheel", "--no-deps", "-w", tmp_path, checkout], timeout_s=300)
    [wheel] = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(installed)

    made = train_on_device(
        "package", "--target", "web", "--build", build, cwd=tmp_path, env={"PYTHONPATH": str(installed)}
    )
    assert made.code == 0, made.stderr
    package = Path(made.stdout.strip())
    manifest = read_manifest(package / "manifest.json")
    assert manifest.target == "web"
    check_files(package, manifest)
    paths = {file.path for file in manifest.files}
    assert {"index.html", "model/eval_step.onnx", "dataset/dataset.json"} <= paths
    assert {"runtime/ort.wasm.min.mjs", "runtime/ort-wasm-simd-threaded.wasm"} <= paths
    folder = ROOT / "web_runtime"
    sources = [path.relative_to(ROOT) for kind in ("js", "css", "html") for path in folder.rglob(f"*.{kind}")]
    assert not [path for path in sources if not (installed / path).is_file()]
    # LeNet has no frozen backbone, so nothing to teach.
    scripts = {path.as_posix() for path in sources if path.suffix == ".js" and path.parent.name != "teach"}
    assert {path for path in paths if path.startswith("web_runtime/")} == {
        *(scripts - {"web_runtime/node.js"}),
        "web_runtime/page/page.css",
    }
    assert not [path for path in paths if path.endswith((".sh", ".py"))]
