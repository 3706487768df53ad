"""What a failure leaves: nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.files import check_writable, new_file, new_folder

New = Callable[[Path], AbstractContextManager[Path]]


@pytest.mark.parametrize("new", [new_file, new_folder], ids=["file", "folder"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_no_empty_folder(new: New, error: type[BaseException], tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for parent in ("made/twice", "there/made", "there"):
        with pytest.raises(error), new(tmp_path / parent / "final"):
            raise error
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_what_another_wrote_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(ValueError), new_folder(tmp_path / "made" / "final"):
        (tmp_path / "made" / "own").touch()
        raise ValueError
    assert list((tmp_path / "made").iterdir()) == [tmp_path / "made" / "own"]


def test_a_folder_is_tried_without_a_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "not" / "yet")
    check_writable(tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match="file: is a file, not a folder"):
        check_writable(tmp_path / "file")
    with pytest.raises(PipelineError, match="file/runs: Not a directory"):
        check_writable(tmp_path / "file" / "runs")
    with pytest.raises(PipelineError, match="/proc/runs: No such file"):
        check_writable(Path("/proc/runs"))


def test_a_folder_that_has_the_name_of_a_file_is_told_by_that_name(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.mkdir()
    with pytest.raises(PipelineError, match=rf"^{page} is a folder"), new_file(page):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_others_may_read_a_file_that_a_library_put_in_place_of_the_temporary_one(tmp_path: Path) -> None:
    with new_file(tmp_path / "state") as temporary:
        own = tmp_path / "own"
        own.touch(0o600)
        own.replace(temporary)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o644
