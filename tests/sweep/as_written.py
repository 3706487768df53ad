"""Small models in the ways people write them, by what is particular about each."""

from __future__ import annotations

from tests.sweep.case import Case, factory_of
from tests.sweep.written.channels import CHANNELS_AND_PLACES
from tests.sweep.written.convolutional import CONVOLUTIONAL
from tests.sweep.written.habits import HABITS
from tests.sweep.written.heads import HEADS
from tests.sweep.written.rounded import ROUNDED
from tests.sweep.written.sequences import SEQUENCES
from tests.sweep.written.tokens import TOKENS
from tests.sweep.written.weights import WEIGHTS

KINDS: dict[str, dict[str, Case]] = {
    "convolutional networks": CONVOLUTIONAL,
    "channels, places and filters weighed by the image": CHANNELS_AND_PLACES,
    "tokens": TOKENS,
    "sequences": SEQUENCES,
    "computed weights": WEIGHTS,
    "rounding and choosing": ROUNDED,
    "pooling and heads": HEADS,
    "habits": HABITS,
}
AS_WRITTEN = {name: case for cases in KINDS.values() for name, case in cases.items()}

__getattr__ = factory_of(AS_WRITTEN)
