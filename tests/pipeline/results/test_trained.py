"""A trained model says how it is fed, and one that does not is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_runtime.formats.errors import FormatError
from device_runtime.formats.metrics import FILE_NAME as METRICS
from pipeline.datasets.photographs.preparation import grey_of
from pipeline.errors import UsageError
from pipeline.results.trained import metadata_of, named_run, read_trained
from tests.pipeline.inference.written import write_linear_model

PREPARATION = grey_of(4, 5)
SAYS = metadata_of(("a", "ü,\n"), PREPARATION, "sigmoid")


def write(folder: Path, says: dict[str, str], name: str = "tiny_trained.onnx") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_linear_model(folder / name, PREPARATION.shape, says)
    return folder


def test_it_says_classes_preprocessing_and_probability(tmp_path: Path) -> None:
    found = read_trained(write(tmp_path / "run", SAYS))
    assert found.file == tmp_path / "run" / "tiny_trained.onnx"
    assert found.classes == ("a", "ü,\n")
    assert found.preparation == PREPARATION
    assert found.probability == "sigmoid"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"classes": '["a"]'}, "its metadata is damaged"),
        ({"classes": '["a", 2]'}, "its metadata is damaged"),
        ({"classes": '["a"'}, "its metadata is damaged"),
        ({"preprocessing": "{}"}, "its metadata is damaged"),
        ({"probability": "guess"}, "its metadata is damaged"),
    ],
)
def test_damaged_metadata_is_refused(changed: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=message):
        read_trained(write(tmp_path, SAYS | changed))


def test_a_model_that_says_nothing_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, {"preprocessing": SAYS["preprocessing"]})
    with pytest.raises(FormatError, match=r"does not say classes and probability in its metadata.* train again"):
        read_trained(tmp_path)


def test_no_model_several_and_what_is_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds no model"):
        read_trained(tmp_path)
    (tmp_path / "a_trained.onnx").write_bytes(b"\xff\xff\xff\xff")
    with pytest.raises(FormatError, match="is no ONNX file"):
        read_trained(tmp_path)
    write(tmp_path, SAYS)
    with pytest.raises(FormatError, match="holds several models"):
        read_trained(tmp_path)


def test_a_run_is_named_by_path_or_in_runs_and_else_is_the_newest(tmp_path: Path) -> None:
    older, newer = (write(tmp_path / "runs" / f"2026010{day}-tiny-x86", SAYS) for day in (1, 2))
    (tmp_path / "runs" / "20260103-unfinished-x86").mkdir()
    for folder in (older, newer):
        (folder / METRICS).touch()
    assert named_run(None, tmp_path / "runs") == newer
    assert named_run(older.name, tmp_path / "runs") == older
    assert named_run(str(older), Path("nowhere")) == older
    with pytest.raises(UsageError, match=r"neither that nor .* is a folder with"):
        named_run("20260103", tmp_path / "runs")
    with pytest.raises(UsageError, match="holds no trained model"):
        named_run(None, tmp_path)
