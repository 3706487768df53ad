"""Flower's strategies: made of `--strategy`, and what they remember from round to round kept in a file."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import UsageError, nearest
from pipeline.files import new_file
from pipeline.fleet.options.strategy import STRATEGIES, Strategy

if TYPE_CHECKING:
    from flwr.serverapp.strategy import FedAvg

# Parts of a name in the file.
_SLASH = "/"


def make_strategy(asked: Strategy) -> FedAvg:
    """Flower's strategy.

    Raises:
      UsageError: it has no such option, or the option cannot be what is given.
    """
    from flwr.serverapp import strategy

    kind = getattr(strategy, STRATEGIES[asked.name])
    common = signature(strategy.FedAvg.__init__).parameters
    own = {
        name: parameter
        for name, parameter in signature(kind.__init__).parameters.items()
        if name not in common and isinstance(parameter.default, float | int)
    }
    given = dict(asked.options)
    for name in given:
        if name not in own:
            has = f"it has {', '.join(own)}" if own else "it has none"
            raise UsageError(f"--strategy {asked}: {asked.name} has no option {name}: {has}{nearest(name, own)}")
    if asked.name == "fedprox" and not given.get("proximal_mu"):
        raise UsageError("--strategy fedprox is fedavg without its proximal_mu: give fedprox,proximal_mu=0.01")
    # A number of nodes is a whole one.
    options = {name: type(own[name].default)(value) for name, value in given.items()}
    # Who takes part is chosen before: by name, so that the same seed gives the same devices.
    made: FedAvg = kind(min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1, **options)
    return made


def write_state(strategy: Any, path: Path) -> None:
    """Keeps the arrays that a strategy remembers: moments, momentum, its own unrounded model."""
    from safetensors.numpy import save_file

    with new_file(path) as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in _remembered(strategy)}, temporary)


def read_state(strategy: Any, path: Path) -> None:
    """Gives a new strategy what another remembered when `write_state` kept it."""
    from flwr.app import Array, ArrayRecord
    from safetensors.numpy import load_file

    found: dict[str, dict[str, npt.NDArray[Any]]] = {}
    kinds: dict[str, str] = {}
    for name, array in load_file(path).items():
        attribute, kind, key = name.split(_SLASH)
        found.setdefault(attribute, {})[key] = array
        kinds[attribute] = kind
    for attribute, arrays in found.items():
        if kinds[attribute] == "list":
            value: Any = [arrays[str(number)] for number in range(len(arrays))]
        elif kinds[attribute] == "record":
            value = ArrayRecord({key: Array(array) for key, array in arrays.items()})
        else:
            value = arrays
        setattr(strategy, attribute, value)


def _remembered(strategy: Any) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    from flwr.app import ArrayRecord

    for attribute, value in vars(strategy).items():
        if isinstance(value, ArrayRecord):
            items = [("record", key, array.numpy()) for key, array in value.items()]
        elif isinstance(value, list):
            items = [("list", str(number), array) for number, array in enumerate(value)]
        elif isinstance(value, dict):
            items = [("dict", key, array) for key, array in value.items()]
        else:
            continue
        for kind, key, array in items:
            if isinstance(array, np.ndarray):
                yield _SLASH.join((attribute, kind, key)), array
