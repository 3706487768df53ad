"""What every runtime folder holds: the pinned wheels, and versions.json, which says what it consists of."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from device_runtime.formats.manifest import Version
from pipeline.commands import run
from pipeline.files import alone_in, new_folder
from pipeline.progress import note
from pipeline.stages import STAMP, build_once

PACKAGING = Path(__file__).parent / "files"
REQUIREMENTS = PACKAGING / "requirements-device.txt"
RULES = PACKAGING / "runtime.toml"
VERSIONS = "versions.json"
# Names a folder of runtimes that build folders share.
SHARED_VARIABLE = "TRAIN_ON_DEVICE_RUNTIMES"

PIP_TIMEOUT_S = 900


@dataclass(frozen=True)
class Rules:
    """What the runtime consists of beside the pinned wheels: packaging/runtime.toml.

    Attributes:
      unused: glob patterns of what the runner never loads of the wheels.
      python: version of the CPython that a device gets.
      platforms: wheel platforms, without their machine, that its libraries are new enough for.
      packages: Debian packages that loader, libraries, CPython and numpy come from.
      libraries: names of the libraries to take from them, beside the loader.
      unused_numpy: glob patterns of what a device's numpy leaves out.
      unused_stdlib: glob patterns of what the runner never loads of the standard library.
      web_files: what a browser loads of onnxruntime-web.
    """

    unused: tuple[str, ...]
    python: str
    platforms: tuple[str, ...]
    packages: tuple[str, ...]
    libraries: tuple[str, ...]
    unused_numpy: tuple[str, ...]
    unused_stdlib: tuple[str, ...]
    web_files: tuple[str, ...]


def read_rules() -> Rules:
    """Reads packaging/runtime.toml."""
    record = tomllib.loads(RULES.read_text())
    device = record["device"]
    return Rules(
        unused=tuple(record["wheels"]["unused"]),
        python=device["python"],
        platforms=tuple(device["platforms"]),
        packages=tuple(device["packages"]),
        libraries=tuple(device["libraries"]),
        unused_numpy=tuple(device["unused_numpy"]),
        unused_stdlib=tuple(device["unused_stdlib"]),
        web_files=tuple(record["web"]["files"]),
    )


def build_runtime(folder: Path, key: str, assemble: Callable[[Path], None]) -> None:
    """Makes a runtime's folder; one that is there for the same key is kept.

    Where the environment names a folder for runtimes, it is made there once, and copied from there.

    Args:
      folder: the runtime's folder.
      key: a digest of all that it is made of.
      assemble: fills a folder with it.
    """
    shared = os.environ.get(SHARED_VARIABLE)
    place = Path(shared) / f"{folder.name}-{key[:16]}" if shared else None
    build_once(folder, key, lambda: _copy_shared(place, folder, key, assemble) if place else _make(folder, assemble))


def _make(folder: Path, assemble: Callable[[Path], None]) -> None:
    with new_folder(folder) as temporary:
        assemble(temporary)


def _copy_shared(place: Path, folder: Path, key: str, assemble: Callable[[Path], None]) -> None:
    made = place / "runtime"
    with alone_in(place, lambda: note(f"waiting for another task that makes {made}")):
        build_once(made, key, lambda: _make(made, assemble))
    with new_folder(folder) as temporary:
        shutil.copytree(made, temporary, ignore=shutil.ignore_patterns(STAMP), dirs_exist_ok=True)


def install_wheels(
    folder: Path, requirements: Sequence[Path], unused: Sequence[str], platforms: Sequence[str] = (), python: str = ""
) -> dict[str, Version]:
    """Downloads the pinned wheels, checks their digests and unpacks what is used of them into folder/site-packages.

    Args:
      folder: the runtime's folder.
      requirements: files that pin them.
      unused: glob patterns of what is not.
      platforms: wheel platforms to accept, or none for this machine's own.
      python: version of the interpreter that will load them, where it is not this one.

    Raises:
      CommandError: pip failed.
    """
    report, site_packages = folder / "pip.json", folder / "site-packages"
    foreign = [f"--platform={platform}" for platform in platforms]
    if platforms:
        foreign += ["--implementation=cp", f"--python-version={python}"]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-compile"]
    pins: list[str | Path] = ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    pins += [word for path in requirements for word in ("-r", path)]
    run([*pip, "--target", site_packages, "--report", report, *foreign, *pins], timeout_s=PIP_TIMEOUT_S)
    versions = {
        item["metadata"]["name"]: Version(
            item["metadata"]["version"], item["download_info"]["archive_info"]["hashes"]["sha256"]
        )
        for item in json.loads(report.read_text())["install"]
    }
    report.unlink()
    drop(site_packages, unused)
    return versions


def drop(folder: Path, patterns: Sequence[str]) -> None:
    """Removes what matches the glob patterns."""
    for pattern in patterns:
        for path in list(folder.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def write_versions(folder: Path, versions: Mapping[str, Version]) -> None:
    """Writes versions.json, which the manifest takes over."""
    record = {name: asdict(version) for name, version in sorted(versions.items())}
    (folder / VERSIONS).write_text(json.dumps(record, indent=1) + "\n")


def read_versions(folder: Path) -> dict[str, Version]:
    """What a runtime folder consists of."""
    return {name: Version(**version) for name, version in json.loads((folder / VERSIONS).read_text()).items()}
