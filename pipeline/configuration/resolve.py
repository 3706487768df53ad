"""Which value is in force: what was typed before the environment, that before the file, and that before the default."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pipeline.configuration.declared import options_for, settings_of
from pipeline.configuration.environment import environment_options
from pipeline.configuration.file import file_options
from pipeline.configuration.given import COMMAND_LINE, Given, Typed, key_of, typed_options
from pipeline.errors import UsageError
from pipeline.progress import note
from pipeline.settings import Settings
from pipeline.targets import check_task


@dataclass(frozen=True)
class InForce:
    """The values that a task works with.

    Attributes:
      given: those that somebody gave.
      aside: those that contradict what a higher place says, and are left out.
    """

    settings: Settings
    given: tuple[Given, ...]
    aside: tuple[Given, ...]


def read_settings(task: str, typed: Typed) -> Settings:
    """The settings of a task, of what was typed, the environment and the file in the folder where one is.

    Raises:
      UsageError: a place says what cannot be meant.
    """
    found = in_force(task, typed_options(typed), configured(Path(), os.environ))
    check_task(task, found.settings.target)
    # A training that goes on has its own options: what a file says for others is not worth a word.
    if found.settings.resume is None:
        tell_aside(found)
    return found.settings


def tell_aside(found: InForce) -> None:
    """Says what is left out because it contradicts what a higher place says."""
    for given in found.aside:
        note(f"{given.origin}: {key_of(given.name)} does not go with what else is asked for, and is left out")


def configured(folder: Path, environment: Mapping[str, str]) -> tuple[tuple[Given, ...], ...]:
    """What each place beside the command line says, for whichever tasks, the highest first.

    Raises:
      UsageError: one cannot be read.
    """
    return (environment_options(environment), file_options(folder))


def in_force(task: str, typed: Sequence[Given], places: Sequence[Sequence[Given]]) -> InForce:
    """Takes of each place what the task takes and what does not contradict a higher one.

    Raises:
      UsageError: what one place says contradicts itself.
    """
    kept, aside = list[Given](), list[Given]()
    for layer in _layers(task, typed, places):
        names = {given.name for given in kept}
        new = [given for given in layer if given.name not in names]
        if _contradiction([*kept, *new]) is None:
            kept += new
            continue
        _check_alone(layer)
        for given in new:
            (aside if _contradiction([*kept, given]) else kept).append(given)
    return InForce(settings_of(_values(kept)), tuple(kept), tuple(aside))


def _layers(task: str, typed: Sequence[Given], places: Sequence[Sequence[Given]]) -> Iterable[list[Given]]:
    """What each place says to the task, the highest first; its own table comes before what is for all."""
    options = options_for(task)
    own = [[given for given in place if given.task == task] for place in places]
    for_all = [
        [g for g in place if not g.task and g.name in options and task not in options[g.name].apart] for place in places
    ]
    typed_for_it = [given for given in typed if given.name in options]
    return chain([typed_for_it], *zip(own, for_all, strict=True))


def _check_alone(layer: Sequence[Given]) -> None:
    error = _contradiction(layer)
    if error:
        place = layer[0].place
        raise UsageError(str(error) if place == COMMAND_LINE else f"{place}: {error}")


def _contradiction(given: Sequence[Given]) -> UsageError | None:
    try:
        settings_of(_values(given))
    except UsageError as error:
        return error
    return None


def _values(given: Iterable[Given]) -> dict[str, object]:
    return {one.name: one.value for one in given}
