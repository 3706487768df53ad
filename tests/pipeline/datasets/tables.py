"""Small tables of mixed columns, as files, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from device_runtime.formats.dataset import Dataset, load_dataset
from pipeline.datasets.convert import ConvertOptions, convert
from pipeline.errors import DatasetError, PipelineError

ROWS = 60

Columns = dict[str, list[Any]]


def columns(rows: int = ROWS) -> Columns:
    """A table of mixed columns whose target is one of three texts."""
    random = np.random.default_rng(1)
    return {
        "size": random.normal(100, 20, rows).round(3).tolist(),
        "rooms": random.integers(1, 9, rows).tolist(),
        "colour": random.choice(["red", "green", "blue"], rows).tolist(),
        "new": (random.random(rows) < 0.5).tolist(),
        "class": [("cat", "dog", "cow")[number % 3] for number in range(rows)],
    }


def write_csv(path: Path, table: Columns, delimiter: str = ",") -> Path:
    lines = [delimiter.join(table), *(delimiter.join(map(cell, row)) for row in zip(*table.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def cell(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def write_parquet(path: Path, table: Columns) -> Path:
    parquet.write_table(pa.table(table), path)
    return path


def converted(source: Path, **options: Any) -> tuple[Dataset, Path]:
    folder = convert(source, source.parent / "build", ConvertOptions(**options), on_warning=lambda line: None)
    return load_dataset(folder), folder


def rows_of(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Samples and targets of all splits."""
    parts = [split.batch(np.arange(len(split))) for split in dataset.splits.values()]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def refusal(source: Path, kind: type[PipelineError] = DatasetError, **options: Any) -> str:
    """The one line by which a table is refused, and of which nothing is left."""
    with pytest.raises(kind) as refused:
        converted(source, **options)
    assert not [path for path in (source.parent / "build").glob("*") if path.name.startswith("dataset")]
    line = str(refused.value)
    assert line.isprintable()
    assert len(line) < 1000
    return line.replace(str(source), "IN")


WRITERS: dict[str, Callable[[Path, Columns], Path]] = {
    "csv": write_csv,
    "tsv": lambda path, table: write_csv(path, table, "\t"),
    "parquet": write_parquet,
}
