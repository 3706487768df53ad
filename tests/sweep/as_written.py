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

# What other helpers are about to land.
_AWAITED = frozenset(("nn.Bilinear", "DataParallel"))
_ALL: dict[str, Case] = {
    **CONVOLUTIONAL,
    **CHANNELS_AND_PLACES,
    **TOKENS,
    **SEQUENCES,
    **WEIGHTS,
    **ROUNDED,
    **HEADS,
    **HABITS,
}
AS_WRITTEN = {name: case for name, case in _ALL.items() if name not in _AWAITED}

__getattr__ = factory_of(_ALL)
