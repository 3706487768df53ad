"""A column → targets: classes where it is texts or few whole numbers, values where it is any numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from device_runtime.formats.sample import CLASS, VALUES
from pipeline.datasets.columns.kinds import CATEGORY, categories_of, kind_of, numbers_of
from pipeline.datasets.photographs.listing import in_order
from pipeline.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa

# Of whole numbers: more of them are amounts.
_MOST_CLASSES = 50


@dataclass(frozen=True)
class TargetColumn:
    """Targets of all rows.

    Attributes:
      y: N: int64 of classes, float32 of values.
      kind: `CLASS` or `VALUES`.
      names: of the classes; of values the column's.
    """

    y: npt.NDArray[Any]
    kind: str
    names: tuple[str, ...]


def target_of(source: Path, name: str, column: pa.ChunkedArray) -> TargetColumn:
    """What is to be learnt.

    Raises:
      DatasetError: it is missing in some rows, or nothing that can be learnt.
    """
    from pyarrow import compute, types

    missing = np.flatnonzero(compute.is_null(column, nan_is_null=True).to_numpy())
    if len(missing):
        raise DatasetError(
            f"{source}: the target {name} is missing in {len(missing):,} of {len(column):,} rows, the first is row "
            f"{missing[0] + 1}: remove them, or choose another with --target-column"
        )
    try:
        kind = kind_of(column)
        if kind == CATEGORY or (types.is_integer(column.type) and len(column.unique()) <= _MOST_CLASSES):
            found = categories_of(column)
            names = in_order(found.names)
            return TargetColumn(np.array([names.index(name) for name in found.names])[found.codes], CLASS, tuple(names))
        with np.errstate(over="ignore"):
            values = numbers_of(column).astype(np.float32)
    except ValueError as error:
        raise DatasetError(f"{source}: the target {name} {error}; --target-column chooses another") from error
    return TargetColumn(values, VALUES, (name,))
