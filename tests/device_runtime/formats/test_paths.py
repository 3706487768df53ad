"""Names from elsewhere: plain ones are taken, and nothing that leads out of a folder."""

from __future__ import annotations

import pytest

from device_runtime.formats.paths import check_name, check_path


@pytest.mark.parametrize("path", ["a", "train/a b/it's $(x);.bmp", "a/-x", "a/..b/.c", "é"])
def test_a_path_within_the_folder_is_taken(path: str) -> None:
    check_path(path)


@pytest.mark.parametrize(
    "path",
    ["", "-x", ".", "..", "/a", "//a", "../a", "a/../b", "a/..", "./a", "a//b", "a/", "a\\b", "a\nb", "a\0", "\ud800"],
)
def test_a_path_that_leads_elsewhere_or_takes_two_lines_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is no path within the folder"):
        check_path(path)


@pytest.mark.parametrize("name", ["metrics.jsonl", "a b", "it's $(x);.bmp", "é" * 127])
def test_a_plain_name_is_taken(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["a/b", "../evil", "..", "-rf", ".hidden", "é" * 128, "a\nb", "a\\b", ""])
def test_what_is_no_plain_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no p"):
        check_name(name)
