"""What is removed of a build folder, and what stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.doctor.cleaning import clean
from pipeline.errors import TargetError
from pipeline.settings import Settings
from pipeline.stages import build_once

OURS = (
    "dataset-0f",
    "lenet/export",
    "lenet/check",
    "runtime-x86",
    "package-x86",
    "bench/lenet/package-x86",
    "bench/lenet/reference",
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A build folder as stages leave it."""
    build = tmp_path / "build"
    for name in OURS:
        folder = build / name
        build_once(folder, "key", lambda folder=folder: fill(folder))  # type: ignore[misc]
    for name in ("bench.json", "bench/lenet/rivals.task"):
        (build / name).write_text("{}")
    return Settings(build=build)


def fill(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "content").write_bytes(bytes(1000))


def test_what_stages_made_goes(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    clean(settings)
    assert list(settings.build.iterdir()) == []
    assert capsys.readouterr().out == f"removed what was built in {settings.build}: 0 MB freed\n"
    clean(settings)
    assert capsys.readouterr().out == f"nothing was built in {settings.build}\n"


def test_a_build_folder_that_never_was_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean(Settings(build=tmp_path / "none"))
    assert capsys.readouterr().out.startswith("nothing was built in")
    assert not (tmp_path / "none").exists()


def test_what_others_put_there_stays_and_is_named(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    (settings.build / "thesis.tex").write_text("years of work")
    (settings.build / "lenet" / "notes").write_text("mine")
    (settings.build / "looks-alike").mkdir()
    (settings.build / "looks-alike" / ".inputs").write_text("of another program")
    clean(settings)
    assert sorted(path.name for path in settings.build.iterdir()) == ["lenet", "looks-alike", "thesis.tex"]
    assert [path.name for path in (settings.build / "lenet").iterdir()] == ["notes"]
    assert "not built there: lenet, looks-alike, thesis.tex" in capsys.readouterr().err


def test_links_are_not_followed(settings: Settings, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(settings.build, elsewhere)
    for name in ("dataset-0f", "lenet"):
        shutil.rmtree(settings.build / name)
        (settings.build / name).symlink_to(elsewhere / name)
    (settings.build / "runtime-x86" / "inside").symlink_to(elsewhere / "runtime-x86")
    clean(settings)
    assert sorted(path.name for path in settings.build.iterdir()) == ["dataset-0f", "lenet"]
    assert all((elsewhere / name / "content").is_file() for name in OURS)


def test_a_build_folder_on_another_disk_is_emptied_through_its_link(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(settings.build)
    clean(Settings(build=tmp_path / "link"))
    assert list(settings.build.iterdir()) == []
    assert (tmp_path / "link").is_symlink()


def test_results_that_nobody_pulled_are_kept_until_force_is_used(settings: Settings) -> None:
    output = settings.build / "package-x86" / "output"
    output.mkdir()
    (output / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(TargetError, match=f"invoke pull --target x86 --build {settings.build}.*--force"):
        clean(settings)
    assert (output / "metrics.jsonl").exists()
    clean(Settings(build=settings.build, force=True))
    assert not output.exists()
