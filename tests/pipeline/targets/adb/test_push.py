"""A push brings what changed and only that, and one that fails leaves the device as it was, or clean."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from random import Random

import pytest

from device_runtime.formats.manifest import File, Manifest, read_manifest
from pipeline.errors import TargetError
from pipeline.targets.adb.adb import ConnectionLost
from pipeline.targets.adb.archive import gzipped
from pipeline.targets.adb.archive import tar_stream as whole
from pipeline.targets.adb.push import compare, moves, push
from tests.pipeline.targets.stand_in import StandIn, content_of, lose, make_package

FILES: dict[str, str | bytes] = {
    "train.sh": "echo\n",
    "job.sh": "echo\n",
    "model/model.json": "{}",
    "model/train_step.onnx": Random(1).randbytes(100_000),
    "dataset/train/living room/1.bmp": "one",
    "dataset/train/living room/2.bmp": "two",
    "dataset/train/it's/3.bmp": "three",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "package", FILES)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """What is /data/local/tmp on a device."""
    folder = tmp_path / "data local" / "tmp"
    folder.mkdir(parents=True)
    return folder


def root(disk: Path) -> PurePosixPath:
    return PurePosixPath(disk) / "train-on-device" / "package-arm64"


def ignored(done: int, total: int) -> None:
    """Takes progress and does nothing."""


def sent(adb: StandIn, package: Path, disk: Path) -> int:
    return push(adb, package, root(disk), ignored)


def manifest_of(*files: File) -> Manifest:
    return Manifest("arm64", "lenet", files, {})


def file(path: str, digest: str = "00", *, executable: bool = False) -> File:
    return File(path, 1, digest, executable)


def test_new_changed_and_newly_executable_files_travel_and_missing_ones_go() -> None:
    there = manifest_of(file("same"), file("changed"), file("mode"), file("b/gone"), file("a/gone"))
    here = manifest_of(file("same"), file("changed", "01"), file("mode", executable=True), file("new"))
    difference = compare(here, there)
    assert [f.path for f in difference.changed] == ["changed", "mode", "new"]
    assert difference.gone == ("a/gone", "b/gone")


def test_everything_travels_to_a_device_without_a_manifest() -> None:
    here = manifest_of(file("a"), file("b"))
    assert compare(here, None).changed == here.files


@pytest.mark.parametrize(
    ("changed", "moved"),
    [
        (("a/b/1", "a/b/2", "a/c/3", "d", "e/4"), ("a", "d", "e")),
        (("a/b/1", "a/b/2"), ("a/b",)),
        (("a/b/1", "d"), ("a/b/1", "d")),
        (("a/c/3", "a/b/2"), ("a/b/2", "a/c")),
        ((), ()),
    ],
)
def test_folders_move_whole_where_nothing_in_them_stays(changed: tuple[str, ...], moved: tuple[str, ...]) -> None:
    package = manifest_of(*(file(path) for path in ("a/b/1", "a/b/2", "a/c/3", "d", "e/4")))
    assert moves(package, [file(path) for path in changed]) == moved


def test_the_first_push_brings_everything_with_its_modes(package: Path, disk: Path) -> None:
    progress: list[tuple[int, int]] = []
    push(StandIn(), package, root(disk), lambda done, total: progress.append((done, total)))
    assert content_of(Path(root(disk))) == content_of(package)
    assert (Path(root(disk)) / "train.sh").stat().st_mode & 0o777 == 0o700
    assert (Path(root(disk)) / "model" / "model.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in Path(root(disk)).parent.iterdir()] == ["package-arm64"]
    assert progress == sorted(progress)
    assert progress[-1][0] == progress[-1][1]


def test_what_is_pushed_is_its_users_alone(package: Path, disk: Path) -> None:
    base = Path(root(disk)).parent
    # As an earlier version left it.
    base.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        sent(StandIn(), package, disk)
    finally:
        os.umask(before)
    assert {path for path in (base, *base.rglob("*")) if path.stat().st_mode & 0o077} == set()


def test_a_second_push_sends_digests_alone(package: Path, disk: Path) -> None:
    first = sent(StandIn(), package, disk)
    progress: list[tuple[int, int]] = []
    again = push(StandIn(), package, root(disk), lambda done, total: progress.append((done, total)))
    assert again < first / 100
    assert progress == []


def test_only_what_changed_travels_and_what_runs_wrote_stays(package: Path, disk: Path) -> None:
    sent(StandIn(), package, disk)
    written = Path(root(disk)) / "output" / "lenet_trained_5.safetensors"
    written.parent.mkdir()
    written.write_text("weights")
    make_package(package, {"model/model.json": "{ }", "dataset/train/garden/4.bmp": "four"})
    for name in ("1.bmp", "2.bmp"):
        (package / "dataset" / "train" / "living room" / name).unlink()
    (package / "dataset" / "train" / "living room").rmdir()
    make_package(package, {})
    assert sent(StandIn(), package, disk) < 10_000
    assert written.read_text() == "weights"
    written.unlink()
    assert content_of(Path(root(disk))) == content_of(package)
    assert not (Path(root(disk)) / "dataset" / "train" / "living room").exists()


def test_a_file_becomes_a_folder_and_a_folder_a_file(package: Path, disk: Path) -> None:
    sent(StandIn(), package, disk)
    (package / "train.sh").unlink()
    for path in (package / "model").iterdir():
        path.unlink()
    (package / "model").rmdir()
    make_package(package, {"train.sh/inside": "1", "model": "2"})
    sent(StandIn(), package, disk)
    assert content_of(Path(root(disk))) == content_of(package)


def test_files_that_were_damaged_on_the_device_travel_again(package: Path, disk: Path) -> None:
    sent(StandIn(), package, disk)
    (Path(root(disk)) / "train.sh").write_text("damaged")
    (Path(root(disk)) / "model" / "model.json").unlink()
    assert sent(StandIn(), package, disk) < 10_000
    assert content_of(Path(root(disk))) == content_of(package)


@pytest.mark.parametrize("text", ["", "{", '{"format": 99}', "[]", "null"])
def test_a_device_whose_manifest_cannot_be_read_gets_everything(package: Path, disk: Path, text: str) -> None:
    sent(StandIn(), package, disk)
    (Path(root(disk)) / "manifest.json").write_text(text)
    sent(StandIn(), package, disk)
    assert read_manifest(Path(root(disk)) / "manifest.json") == read_manifest(package / "manifest.json")


@pytest.mark.parametrize("word", ["mkdir -p", "tar -xf", "sha256sum -c", "cat >"])
def test_a_first_push_that_is_cut_off_leaves_nothing(package: Path, disk: Path, word: str) -> None:
    adb = StandIn(before=lose(1, word))
    with pytest.raises(ConnectionLost):
        sent(adb, package, disk)
    left = content_of(disk)
    # Cut off after everything took its place, only the manifest is missing; nothing claims to be a package.
    assert left == {} if word != "cat >" else "train-on-device/package-arm64/manifest.json" not in left
    sent(StandIn(), package, disk)
    assert content_of(Path(root(disk))) == content_of(package)


@pytest.mark.parametrize("word", ["mkdir -p", "tar -xf", "sha256sum -c"])
def test_a_later_push_that_is_cut_off_leaves_the_earlier_package(package: Path, disk: Path, word: str) -> None:
    sent(StandIn(), package, disk)
    before = content_of(disk)
    make_package(package, {"model/model.json": "{ }"})
    with pytest.raises(ConnectionLost):
        sent(StandIn(before=lose(1, word)), package, disk)
    assert content_of(disk) == before


def test_results_stay_when_a_push_breaks_off_while_files_take_their_places(package: Path, disk: Path) -> None:
    sent(StandIn(), package, disk)
    written = Path(root(disk)) / "output" / "lenet_trained_5.safetensors"
    written.parent.mkdir()
    written.write_text("weights")
    make_package(package, {"model/model.json": "{ }"})

    def cut(command: str) -> None:
        if command == "sh":
            (Path(root(disk)) / "manifest.json").unlink()
            raise ConnectionLost("stand-in went away")

    with pytest.raises(ConnectionLost):
        sent(StandIn(before=cut), package, disk)
    assert content_of(Path(root(disk))) == {"output/lenet_trained_5.safetensors": b"weights"}


def test_a_device_that_stays_away_does_not_hide_the_error(package: Path, disk: Path) -> None:
    adb = StandIn(before=lose(100, "tar -xf"))

    def away(timeout_s: float) -> None:
        raise ConnectionLost("stand-in did not come back")

    adb.reconnect = away  # type: ignore[method-assign]
    with pytest.raises(ConnectionLost, match="went away during `tar -xf`"):
        sent(adb, package, disk)
    # The next push begins with what this one left.
    sent(StandIn(), package, disk)
    assert content_of(Path(root(disk))) == content_of(package)


def interrupt(done: int, total: int) -> None:
    raise KeyboardInterrupt


def fail(done: int, total: int) -> None:
    raise TargetError("no")


@pytest.mark.parametrize(("on_bytes", "error"), [(interrupt, KeyboardInterrupt), (fail, TargetError)])
def test_an_interrupted_push_leaves_nothing(
    package: Path, disk: Path, on_bytes: Callable[[int, int], None], error: type[BaseException]
) -> None:
    with pytest.raises(error):
        push(StandIn(), package, root(disk), on_bytes)
    assert list(disk.iterdir()) == []


def test_a_stream_that_ends_early_is_removed_by_the_device_itself(
    package: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Cut off between two members, it looks whole to tar; and the host cannot clean up, as it has no connection.
    monkeypatch.setattr(
        "pipeline.targets.adb.push.tar_stream", lambda folder, files: itertools.islice(whole(folder, files), 3)
    )
    with pytest.raises(TargetError, match="could not unpack the package"):
        sent(StandIn(before=lose(1, "find ")), package, disk)
    assert content_of(disk) == {}


def test_a_compressed_stream_that_ends_early_is_removed_by_the_device_itself(
    package: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.targets.adb.push.gzipped", lambda chunks: [b"".join(gzipped(chunks))[:-60]])
    with pytest.raises(TargetError, match="could not unpack the package"):
        sent(StandIn(before=lose(1, "find ")), package, disk)
    assert content_of(disk) == {}


def test_the_stream_is_compressed_where_the_device_can_unpack_it(package: Path, disk: Path) -> None:
    class Bare(StandIn):
        """Has no zcat."""

        def execute(self, command: str, **options):  # type: ignore[no-untyped-def]
            return super().execute(command.replace("command -v zcat", "false"), **options)

    class Old(StandIn):
        """Has to know the size of what it reads."""

        has_v2 = False

    make_package(package, {"model/constants": bytes(1_000_000)})
    taken = []
    for name, adb in {"new": StandIn(), "bare": Bare(), "old": Old()}.items():
        (disk / name).mkdir()
        taken.append(sent(adb, package, disk / name))
        assert content_of(Path(root(disk / name))) == content_of(package)
    assert taken[0] < 200_000
    assert min(taken[1:]) > 1_100_000


def test_too_little_space_says_how_much_is_needed(package: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What an earlier push has left is no reason to refuse this one.
    left = disk / "train-on-device" / "package-arm64.new" / "half"
    left.parent.mkdir(parents=True)
    left.write_text("x")
    monkeypatch.setattr("pipeline.targets.adb.push.free_bytes", lambda df: (left.exists() and -1) or 5 * 2**20)
    with pytest.raises(TargetError, match=r"has no space in .*: 16 MiB are needed, 5 MiB are free: delete"):
        sent(StandIn(), package, disk)
    assert list(disk.iterdir()) == []


def test_what_tar_says_is_one_line(package: Path, disk: Path) -> None:
    class Full(StandIn):
        """Its tar fails as toybox's does on a full disk, and it keeps nothing."""

        def execute(self, command: str, **options):  # type: ignore[no-untyped-def]
            says = "for i in 1 2 3; do echo 'tar: No space left on device' >&2; done; cat >/dev/null; false"
            return super().execute(command.replace("tar -xf - -o", f"{{ {says}; }}"), **options)

    with pytest.raises(TargetError) as caught:
        sent(Full(), package, disk)
    assert str(caught.value) == (
        "stand-in could not unpack the package: tar: No space left on device; its disk is full: delete something there"
    )
    assert list(disk.iterdir()) == []
