"""What a column is: numbers, or one of several texts; and its values as numpy has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

NUMBER, CATEGORY, EMPTY = "number", "category", "empty"

# Of one column. Beyond that texts are free, and a sample would be nothing but zeros.
MOST_CATEGORIES = 1000


@dataclass(frozen=True)
class Categories:
    """A column of texts, N.

    Attributes:
      names: those that are met.
      codes: of each row the place of its name, or −1 where it has none.
    """

    names: tuple[str, ...]
    codes: npt.NDArray[np.int64]


def kind_of(column: pa.ChunkedArray) -> str:
    """`NUMBER`, `CATEGORY` or `EMPTY`.

    Raises:
      ValueError: it is anything else; the message says what, and what to do.
    """
    from pyarrow import types

    kind = column.type
    if types.is_null(kind) or column.null_count == len(column):
        return EMPTY
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return NUMBER
    # Parquet gives back as categories what was categories of texts.
    if types.is_boolean(kind) or _is_text(kind.value_type if types.is_dictionary(kind) else kind):
        return CATEGORY
    if types.is_temporal(kind):
        raise ValueError("holds dates or times: make numbers of them, as days since the first, or remove the column")
    if types.is_binary(kind) or types.is_large_binary(kind):
        raise ValueError("holds bytes that are no text: remove the column")
    raise ValueError(f"is of type {kind}: give numbers, texts, or true and false, or remove the column")


def numbers_of(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Of a column of numbers, N; NaN where one is missing.

    Raises:
      ValueError: some are infinite.
    """
    import pyarrow as pa

    found: npt.NDArray[np.float64] = np.array(column.cast(pa.float64(), safe=False).to_numpy(), np.float64)
    infinite = np.isinf(found)
    if infinite.any():
        raise ValueError(
            f"is infinite in {np.count_nonzero(infinite):,} rows, the first is row {int(np.argmax(infinite)) + 1}"
        )
    return found


def categories_of(column: pa.ChunkedArray) -> Categories:
    """Of a column of texts, of true and false, or of whole numbers.

    Raises:
      ValueError: there are more than `MOST_CATEGORIES`.
    """
    import pyarrow as pa
    from pyarrow import compute, types

    plain: Any = column.cast(column.type.value_type) if types.is_dictionary(column.type) else column
    texts = compute.utf8_trim_whitespace(plain.cast(pa.large_string()))
    found = pa.concat_arrays(texts.chunks).dictionary_encode()
    if len(found.dictionary) > MOST_CATEGORIES:
        raise ValueError(
            f"is text of {len(found.dictionary):,} different values: remove the column, or sort them into at most "
            f"{MOST_CATEGORIES:,}"
        )
    codes = found.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Categories(tuple(found.dictionary.to_pylist()), codes)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_number(text: str) -> bool:
    """Whether a text is a number as Python writes it."""
    try:
        float(text)
    except ValueError:
        return False
    return True
