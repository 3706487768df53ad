"""Trainings of several devices together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device_runtime.formats.errors import FormatError
from device_runtime.formats.records import parse_object
from pipeline.cli.tasks.declaring import alone_in_build, takes_options, takes_typed
from pipeline.configuration.declared import declared
from pipeline.configuration.given import COMMAND_LINE, Given, Typed, typed_options
from pipeline.configuration.resolve import InForce, configured, in_force, tell_aside
from pipeline.errors import UsageError
from pipeline.options import read_option
from pipeline.settings import Settings


@takes_typed
def fleet(typed: Typed) -> None:
    """Train on many devices together, in rounds."""
    from pipeline.fleet.run import begin, go_on

    found = in_force("fleet", typed_options(typed), configured(Path(), os.environ))
    settings = found.settings
    if settings.resume is None:
        tell_aside(found)
        with alone_in_build(settings.build):
            begin(settings, _asked(found))
        return
    results = _results_of(settings)
    before = in_force("fleet", _given_before(results), ()).settings
    with alone_in_build(before.build):
        go_on(before, results)


@takes_options
def join(settings: Settings) -> None:
    """Bring this machine's devices into a fleet elsewhere."""
    from pipeline.fleet.join import join as join_fleet

    join_fleet(settings)


def _asked(found: InForce) -> dict[str, str]:
    """What was asked for, as it would be typed; paths from wherever it will be read."""
    options = declared()
    return {
        given.name: str(Path(given.text).absolute()) if _is_path(options[given.name].read, given.text) else given.text
        for given in found.given
    }


def _is_path(read: Any, text: str) -> bool:
    # Data on a device has a path there.
    return read is Path and not text.startswith("device:")


def _given_before(results: Path) -> list[Given]:
    from pipeline.fleet.run import ASKED

    path = results / ASKED
    try:
        texts: Mapping[str, Any] = parse_object(path.read_text("utf-8"))
        options = declared()
        return [Given(n, read_option(n, options[n], str(t)), str(t), COMMAND_LINE) for n, t in texts.items()]
    except (OSError, ValueError, KeyError, UsageError) as error:
        raise FormatError(f"{path} cannot be read ({error}): this fleet cannot go on") from error


def _results_of(settings: Settings) -> Path:
    """The results folder that `--resume` names; without a name the newest fleet's.

    Raises:
      UsageError: there is none.
    """
    from pipeline.fleet.results import fleet_folders, fleet_named

    if settings.resume:
        if folder := fleet_named(settings.runs, Path(settings.resume)):
            return folder
        raise UsageError(f"--resume {settings.resume}: neither this nor {settings.runs / settings.resume} is a fleet's")
    found = fleet_folders(settings.runs)
    if not found:
        raise UsageError(f"{settings.runs} has no fleet to go on with")
    return found[-1]


TASKS = (fleet, join)
