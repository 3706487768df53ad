"""What is made of pulled results."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from device_runtime.formats.errors import FormatError
from device_runtime.formats.manifest import Manifest, package_digest, write_manifest
from device_runtime.formats.metrics import read_metrics
from pipeline.results.pages.report import dataset_at_hand, write_report
from tests.pipeline.results.made import guessed, write_dataset, write_results

CHARTS = ("loss", "accuracy", "learning_rate", "step_time", "memory", "temperature", "battery")
START = (
    '{"event": "start", "model": "tiny", "run": "0a", "package": "", "engine": "lowered", "file": "", "time": 1, '
    '"first": 1, "last": 2}'
    "\n"
)
STEP = '{"event": "step", "step": 1, "loss": 0.5}\n'
END = '{"event": "end", "step": 1, "seconds": 2.5}\n'


def test_a_record_that_was_half_written_is_left_out(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []
    (tmp_path / "metrics.jsonl").write_text(START + STEP + '{"event": "st')
    assert [record["event"] for record in read_metrics(tmp_path)] == ["start", "step"]
    write_report(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<title>tiny, 1 step</title>" in page
    assert '<span class="state interrupted">interrupted</span> after step 1' in page


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "null",
        '{"event": "step", "step": 1, "loss": NaN}',
        '{"event": "step", "step": 1, "loss": 1e999}',
        '{"event": "step", "step": true, "loss": 0.5}',
        '{"event": "step", "loss": 0.5}',
        '{"event": "step", "step": 1, "step": 2, "loss": 0.5}',
        '{"event": "checkpoint", "step": 1, "file": "../../evil"}',
        '{"event": "checkpoint", "step": 1, "file": 3}',
        '{"event": "evaluation", "step": 1}',
        '{"event": "start", "model": ["tiny"]}',
        '{"event": 1}',
        '{"step": 1}',
        '{"event": "other", "a": ' + "[" * 900 + "]" * 900 + "}",
    ],
    ids=lambda line: line[:50],
)
def test_a_damaged_line_is_one_error_that_names_it(tmp_path: Path, line: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(f"{START}{line}\n{STEP}")
    with pytest.raises(FormatError, match=r"metrics\.jsonl is damaged in line 2 \(.*\): pull it again"):
        read_metrics(tmp_path)


def test_bytes_that_are_no_text_and_a_giant_are_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(FormatError, match="damaged in line 1"):
        read_metrics(tmp_path)
    with (tmp_path / "metrics.jsonl").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(FormatError, match="is of no training"):
        read_metrics(tmp_path)


def test_metrics_without_a_beginning_make_no_report(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(STEP)
    with pytest.raises(FormatError, match="says of no training that it began"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_the_report_of_a_whole_training_says_how_long_it_took(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(START + STEP + END)
    write_report(tmp_path)
    assert '<div class="tile"><dt>took</dt><dd>2.5 s</dd></div>' in (tmp_path / "report.html").read_text()


def test_pictures_are_files_beside_the_page_and_within_it(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", ("a", "b"), [1, 2])
    folder = write_results(tmp_path / "run", ("a", "b"), guessed([0, 1, 1], [0, 0, 1]))
    page = write_report(folder, dataset).read_text()
    pictures = {path.stem: path.read_bytes() for path in folder.glob("*.png")}
    assert pictures.keys() == {*CHARTS, "confusion", "wrong_images"}
    for name in (*CHARTS, "confusion"):
        assert base64.b64encode(pictures[name]).decode() in page
    assert "<figcaption><b>a</b> 75%<br>is b</figcaption>" in page


def test_without_the_dataset_the_earlier_images_stay(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", ("a", "b"), [1, 2])
    folder = write_results(tmp_path / "run", ("a", "b"), guessed([0, 1, 1], [0, 0, 1]))
    assert "The images are not here" in write_report(folder).read_text()
    write_report(folder, dataset)
    before = (folder / "wrong_images.png").read_bytes()
    assert base64.b64encode(before).decode() in write_report(folder).read_text()
    assert (folder / "wrong_images.png").read_bytes() == before


def test_a_damaged_image_is_not_shown_and_the_rest_is(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", ("a", "b"), [1, 2])
    folder = write_results(tmp_path / "run", ("a", "b"), guessed([0, 1, 1], [0, 0, 1]))
    (dataset / "1.bmp").write_bytes(b"no picture")
    page = write_report(folder, dataset).read_text()
    assert "takes 1 for another class" in page
    assert "The images are not here" in page


def test_where_nothing_is_wrong_no_image_is_shown(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "run", ("a", "b"), guessed([0, 1], [0, 1]))
    (folder / "wrong_images.png").write_bytes(b"of an earlier training")
    page = write_report(folder).read_text()
    assert "Of 2 test images the trained model takes none for another class." in page
    assert "Images that it gets wrong" not in page
    assert not (folder / "wrong_images.png").exists()


def test_results_of_an_older_version_say_what_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(START + STEP + END)
    page = write_report(tmp_path).read_text()
    assert "<p>Not known: there is no predictions_1.bin: " in page
    assert "<p>Not known: the results are of an older version" in page


def test_names_are_texts_and_not_parts_of_the_page(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "run", ("<script>alert(1)</script>", "b"), guessed([0, 1], [1, 1]))
    page = write_report(folder).read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page


@pytest.mark.parametrize("digest", ["", "0" * 64])
def test_the_dataset_of_another_package_is_not_at_hand(tmp_path: Path, digest: str) -> None:
    (tmp_path / "package-x86").mkdir()
    write_manifest(tmp_path / "package-x86", Manifest("x86", "tiny", (), {}))
    (tmp_path / "package-arm64").mkdir()
    (tmp_path / "package-arm64" / "manifest.json").write_text("damaged")
    assert dataset_at_hand(tmp_path, digest) is None
    known = package_digest(Manifest("x86", "tiny", (), {}))
    assert dataset_at_hand(tmp_path, known) == tmp_path / "package-x86" / "dataset"
