"""The console command `train-on-device`, and what invoke's own program lacks: groups, words, and errors in one line."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import invoke.main
from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.program import Program
from invoke.tasks import Task
from invoke.util import helpline

from device_runtime.formats.option import long_form
from pipeline.cli.tasks import GROUPS
from pipeline.cli.words import named_words
from pipeline.errors import CONSOLE_COMMAND, UsageError
from pipeline.progress import tell_error
from pipeline.settings import options_for


class TaskProgram(Program):
    """invoke's program, with tasks in groups, files after a task's name, and its errors told as all others are."""

    def parse_tasks(self) -> None:
        """Names the words that a task takes, then parses as invoke does."""
        contexts = {name: context for context in self.collection.to_contexts() for name in _names(context)}
        takers = {
            name: long_form(option)
            for tasks in GROUPS.values()
            for name in (task.name for task in tasks)
            for option, declared in options_for(name).items()
            if declared.words
        }
        self.core.unparsed = named_words(self.core.unparsed, contexts, takers)
        try:
            super().parse_tasks()
        except ParseError as error:
            tell_error(f"{error} `invoke --list` lists the tasks, `invoke --help TASK` its options")
            raise Exit(code=UsageError.exit_code) from None

    def list_flat(self) -> None:
        """Prints the tasks, a line each, in their groups; those of the checkout come last."""
        grouped = {task.name for tasks in GROUPS.values() for task in tasks}
        groups = {name: _lines(tasks) for name, tasks in GROUPS.items()}
        project = [(name, text) for name, text in self._make_pairs(self.scoped_collection) if name not in grouped]
        if self.scoped_collection is not self.collection or not grouped & set(self.collection.tasks):
            groups = {}
        groups |= {"this project": project} if project else {}
        width = max(len(name) for lines in groups.values() for name, _ in lines)
        for heading, lines in groups.items():
            print(f"{heading}:")
            for name, text in lines:
                print(f"  {name:<{width}}  {text or ''}".rstrip())
            print()


def _names(context: Any) -> Sequence[str]:
    return [context.name, *context.aliases]


def _lines(tasks: Sequence[Task[Any]]) -> list[tuple[str, str | None]]:
    return [(task.name, helpline(task)) for task in tasks]


def adopt() -> None:
    """Makes invoke's program, which has no place to say so, ours: for the tasks.py that it reads."""
    invoke.main.program.__class__ = TaskProgram


def namespace(*own: Any) -> Collection:
    """All tasks, and what a project adds: tasks, or collections of them."""
    return Collection(*(task for tasks in GROUPS.values() for task in tasks), *own)


def main() -> None:
    """The console command."""
    try:
        own = version(CONSOLE_COMMAND)
    except PackageNotFoundError:
        own = "not installed"
    TaskProgram(name=CONSOLE_COMMAND, binary=CONSOLE_COMMAND, version=own, namespace=namespace()).run()
