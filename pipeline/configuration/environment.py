"""Options of the environment: `TRAIN_ON_DEVICE_CYCLES` is `--cycles`."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.configuration.declared import declared
from pipeline.configuration.given import ENVIRONMENT, Given
from pipeline.errors import UsageError, nearest
from pipeline.options import read_option
from pipeline.packing.debian import MIRROR_VARIABLE
from pipeline.packing.runtime import SHARED_VARIABLE

PREFIX = "TRAIN_ON_DEVICE_"
NO_OPTIONS = (MIRROR_VARIABLE, SHARED_VARIABLE)


def environment_options(environment: Mapping[str, str]) -> tuple[Given, ...]:
    """What the environment says of options; a variable that is empty says nothing.

    Raises:
      UsageError: a variable names no option, or its value cannot be meant.
    """
    options = {variable_of(name): name for name, option in declared().items() if not option.words}
    given: list[Given] = []
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in NO_OPTIONS:
            continue
        if variable not in options:
            near = nearest(variable.upper().replace("-", "_"), (*options, *NO_OPTIONS), PREFIX)
            raise UsageError(f"{variable} in the environment is no option{near}")
        if text := environment[variable]:
            given.append(_read(variable, options[variable], text))
    return tuple(given)


def variable_of(name: str) -> str:
    """The variable that holds an option."""
    return PREFIX + name.upper()


def _read(variable: str, name: str, text: str) -> Given:
    try:
        return Given(name, read_option(name, declared()[name], text), text, ENVIRONMENT)
    except ValueError as error:
        raise UsageError(f"{variable}={text} in the environment: give {error}") from None
    except UsageError as error:
        raise UsageError(f"{variable} in the environment: {error}") from None
