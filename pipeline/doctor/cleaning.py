"""`invoke clean`: removes what runs left, on a device or of the build folder; results folders stay."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.doctor.devices import size
from pipeline.errors import TargetError, brief
from pipeline.files import explain_os_error
from pipeline.packing.abi import ABIS
from pipeline.packing.package import package_folder
from pipeline.progress import note
from pipeline.settings import Settings
from pipeline.stages import STAMP
from pipeline.targets.adb.adb import Adb
from pipeline.targets.adb.choosing import choose
from pipeline.targets.adb.state import BASE, FOLDER, PROBES, QUESTION, parse_state
from pipeline.targets.local import LocalTarget

REMOVE_TIMEOUT_S = 300.0
# Where stages and the benchmark put folders, and what of the benchmark has no stamp.
STAMPED = ("*", "*/export", "*/artifacts", "*/model", "*/check", "bench/*/*")
BENCH = ("bench.json", "bench/inductor", "bench/*/rivals.task", "bench/*/executorch.pte")
_DIGEST = re.compile(r"[0-9a-f]{64}\s*")


def clean(settings: Settings) -> None:
    """Removes what runs left on the target, and says what was freed.

    Raises:
      TargetError: a job runs there, or it holds results that nobody pulled, unless `force` says to remove them too.
    """
    if settings.kind.is_here:
        clean_build(settings)
    else:
        clean_device(choose(settings.serial), settings)


def clean_device(device: Adb, settings: Settings) -> None:
    """Removes our folder from a device, whichever packages are in it."""
    state = parse_state(device.execute(QUESTION).text)
    running = [job for job in state.jobs if job.runs]
    if running:
        raise TargetError(f"{device.serial} runs a job: `invoke attach` shows it, `invoke stop` ends it")
    if state.unpulled and not settings.force:
        # The device may be another than --target means.
        targets = [abi.target for abi in ABIS if package_folder(settings.build, abi.name).name in state.unpulled]
        target = next(iter(targets), settings.target)
        raise TargetError(_unpulled(device.serial, f"--target {target} --serial {device.serial}"))
    found = f'for path in {FOLDER} {PROBES}; do [ ! -e "$path" ] && [ ! -L "$path" ] || echo "$path"; done'
    if not device.check(f"cd {BASE} && {found}"):
        print(f"nothing of ours is on {device.serial}")
        return
    # Not what the device lists, which may say anything. A link goes, what it leads to stays.
    device.check(f"cd {BASE} && rm -rf -- {FOLDER} {PROBES}", timeout_s=REMOVE_TIMEOUT_S)
    print(f"removed {BASE}/{FOLDER} from {device.serial}: {size(state.used_bytes)} freed")


def clean_build(settings: Settings) -> None:
    """Removes what stages made in the build folder; whatever else lies there stays, as do links."""
    build = settings.build
    if not settings.force and _holds_unpulled(settings):
        raise TargetError(
            _unpulled(str(package_folder(build, settings.kind.name)), f"--target {settings.target} --build {build}")
        )
    made = list(_made(build))
    freed = sum(_size(path) for path in made)
    with explain_os_error(build):
        for path in made:
            _remove(path, build)
    print(f"removed what was built in {build}: {size(freed)} freed" if made else f"nothing was built in {build}")
    left = sorted(path.name for path in build.iterdir()) if build.is_dir() else []
    if left:
        note(f"left in {build}, as it was not built there: {brief(left, 5)}")


def _remove(path: Path, build: Path) -> None:
    """Removes something in the build folder, and the folders above it that are empty then."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    for parent in path.parents:
        if parent == build or any(parent.iterdir()):
            return
        parent.rmdir()


def _unpulled(where: str, options: str) -> str:
    return (
        f"{where} holds results that nobody pulled: `invoke pull {options}` brings them here, --force removes them too"
    )


def _holds_unpulled(settings: Settings) -> bool:
    package = package_folder(settings.build, settings.kind.name)
    return package.is_dir() and LocalTarget(package).unpulled()


def _made(build: Path) -> Iterator[Path]:
    """Folders with the stamp of a stage, and what the benchmark writes."""
    for folder in (folder for pattern in STAMPED for folder in sorted(build.glob(pattern))):
        stamp = folder / STAMP
        if not _by_link(build, stamp) and stamp.is_file() and _DIGEST.fullmatch(stamp.read_text(errors="replace")):
            yield folder
    yield from (path for name in BENCH for path in sorted(build.glob(name)) if not _by_link(build, path))


def _by_link(build: Path, path: Path) -> bool:
    """Whether a link is on the way from the build folder, which may be one itself."""
    return any(place.is_symlink() for place in (path, *path.parents) if build in place.parents)


def _size(path: Path) -> int:
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_symlink() or file.is_file())
