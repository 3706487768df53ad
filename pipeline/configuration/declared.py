"""All options, of the host and of the runner together, and settings of what they are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from device_runtime.formats.option import Option, long_form, options_of
from device_runtime.formats.options import Options as RunnerOptions
from device_runtime.formats.options import OptionsError
from pipeline.errors import UsageError
from pipeline.fleet.options.declared import FLEET, JOIN, FleetOptions
from pipeline.settings import Settings

# The task that says what options are.
ASKING = "config"

# Whose fields are options; where two have a field of one name, the later one is what a user types.
DECLARING = (RunnerOptions, FleetOptions, Settings)

# What may be said of a training that goes on: where it is, and how it is shown.
_BESIDE_RESUME = ("resume", "target", "serial", "build", "runs", "verbose", "stay_awake", "tensorboard")


def declared() -> dict[str, Option]:
    """Every option that some task takes, by name."""
    runner = {n: o for n, o in options_of(RunnerOptions).items() if o.tasks}
    return options_of(Settings) | options_of(FleetOptions) | runner


def tasks_with_options() -> tuple[str, ...]:
    """Their names, those of the most options first, a fleet's last; not of the one that only says what options are."""
    taken = Counter(task for option in declared().values() for task in set(option.tasks) - {ASKING})
    return tuple(sorted(taken, key=lambda task: (task in (FLEET, JOIN), -taken[task], task)))


def options_for(task: str) -> dict[str, Option]:
    """The options that a task takes, by name; `config` takes all, to say what they would be."""
    options = declared()
    return {n: o for n, o in options.items() if task in o.tasks or (task == ASKING and not o.words)}


def defaults() -> dict[str, Any]:
    """What an option is that nobody gives, by name; None or empty where something else decides."""
    return {field.name: field.default for kind in DECLARING for field in fields(kind) if field.name in options_of(kind)}


def settings_of(values: Mapping[str, Any]) -> Settings:
    """The settings in which options have these values, and all others their defaults.

    Raises:
      UsageError: options contradict each other.
    """
    own, fleet = options_of(Settings), options_of(FleetOptions)
    given = [name for name, value in values.items() if value is not False]
    if "resume" in given and (others := [name for name in given if name not in _BESIDE_RESUME]):
        raise UsageError(
            f"--resume goes on with the options that the training was started with: leave out {long_form(others[0])}, "
            "or train on from a checkpoint with `invoke train --checkpoint`"
        )
    try:
        rest = {name: value for name, value in values.items() if name not in own | fleet}
        runner = RunnerOptions(**rest)
    except OptionsError as error:
        raise UsageError(str(error)) from None
    asked = FleetOptions(**{name: value for name, value in values.items() if name in fleet})
    return Settings(**{name: value for name, value in values.items() if name in own}, runner=runner, fleet=asked)
