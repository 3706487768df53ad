"""A model's numbers as Flower's messages carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import TargetError
from pipeline.fleet.device import Arrays

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, RecordDict

# The records of a message, in Flower's own names.
ARRAYS, CONFIG, METRICS = "arrays", "config", "metrics"

_PARAMETERS, _BUFFERS = "parameters", "buffers"
_PACKED = "packed"


def packed(content: RecordDict) -> RecordDict:
    """The same as one record of bytes, as which it travels: the SuperLink is asked for each part of a message apart."""
    from flwr.app import ConfigRecord, RecordDict
    from flwr.common.serde import recorddict_to_proto

    whole = recorddict_to_proto(content).SerializeToString(deterministic=True)
    return RecordDict({_PACKED: ConfigRecord({_PACKED: whole})})


def unpacked(content: RecordDict) -> RecordDict:
    """What `packed` was given."""
    from flwr.common.serde import recorddict_from_proto
    from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto

    return recorddict_from_proto(RecordDictProto.FromString(content.config_records[_PACKED][_PACKED]))


def record_of(arrays: Arrays, dtype: str) -> ArrayRecord:
    """The arrays in `dtype`, float32 or float16.

    Raises:
      TargetError: a number is beyond what float16 can be.
    """
    return _record({_PARAMETERS: _cast(arrays.parameters, dtype), _BUFFERS: _cast(arrays.buffers, dtype)})


def in_float64(record: ArrayRecord) -> ArrayRecord:
    """The same numbers, in which a mean of them loses nothing."""
    return _record({name: array.numpy().astype(np.float64) for name, array in record.items()})


def arrays_of(record: ArrayRecord) -> Arrays:
    """The arrays of a message, or of an aggregation, rounded to float32."""
    found = {name: array.numpy().astype(np.float32) for name, array in record.items()}
    return Arrays(found[_PARAMETERS], found.get(_BUFFERS, np.empty(0, np.float32)))


def _record(arrays: dict[str, npt.NDArray[Any]]) -> ArrayRecord:
    from flwr.app import Array, ArrayRecord

    return ArrayRecord({name: Array(array) for name, array in arrays.items() if len(array)})


def _cast(vector: npt.NDArray[np.float32], dtype: str) -> npt.NDArray[Any]:
    with np.errstate(over="ignore"):
        cast = vector.astype(dtype)
    if not np.isfinite(cast).all():
        raise TargetError(f"a number of the model is beyond {dtype}: leave out --compress")
    return cast
