"""Reads what the user asks for.
Writes nothing itself: a task is one call of the pipeline.
Belongs here: tasks, a module for each group of them, in the order of `GROUPS`; `declaring.py` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invoke.tasks import Task

from pipeline.cli.tasks import building, configuring, devices, fleets, measuring, training

# As they are listed, in the order in which they are met.
GROUPS: Mapping[str, tuple[Task[Any], ...]] = {
    "train": training.TASKS,
    "fleet": fleets.TASKS,
    "device": devices.TASKS,
    "stages of a run": building.TASKS,
    "measure": measuring.TASKS,
    "options": configuring.TASKS,
}
