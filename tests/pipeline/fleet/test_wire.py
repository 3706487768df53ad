"""What a message carries, as it travels."""

from __future__ import annotations

import numpy as np
from flwr.app import ConfigRecord, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

from pipeline.fleet.device import Arrays
from pipeline.fleet.wire import ARRAYS, CONFIG, METRICS, arrays_of, packed, record_of, unpacked


def content() -> RecordDict:
    arrays = Arrays(np.linspace(-1, 1, 7, dtype=np.float32), np.arange(3, dtype=np.float32))
    config = ConfigRecord({"epochs": 2, "between": "22:00-06:00"})
    return RecordDict({ARRAYS: record_of(arrays, "float32"), CONFIG: config, METRICS: MetricRecord({"loss": 0.1})})


def test_what_was_packed_is_unpacked_to_the_last_bit() -> None:
    given, got = content(), unpacked(packed(content()))
    assert got == given
    for name in ("parameters", "buffers"):
        one, other = (getattr(arrays_of(some.array_records[ARRAYS]), name) for some in (given, got))
        np.testing.assert_array_equal(one, other)


def test_what_is_packed_is_two_objects_and_the_same_for_all_devices() -> None:
    apart, one, other = content(), packed(content()), packed(content())
    assert len(get_all_nested_objects(one)) == 2 < len(get_all_nested_objects(apart))
    assert one.object_id == other.object_id
