"""The console command `train-on-device`, and what invoke's own program lacks: groups, words, and errors in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import invoke.main
from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.parser.context import ParserContext
from invoke.parser.parser import Parser
from invoke.program import Program
from invoke.util import helpline

from device_runtime.formats.option import Option, long_form
from pipeline.cli.help import option_lines
from pipeline.cli.line import TaskLine, no_task, read_line
from pipeline.cli.tasks import GROUPS, fleets
from pipeline.cli.tasks.declaring import one_line_errors
from pipeline.configuration.declared import options_for
from pipeline.errors import CONSOLE_COMMAND, UsageError
from pipeline.options import one_of

# Of invoke's own options, those that mean something to who runs no tasks of their own.
_CORE = ("complete", "debug", "help", "list", "print-completion-script", "version")

# invoke's ways to list tasks.
_LISTS = ("flat", "nested", "json")
# How its messages call an option.
_ARGUMENT = re.compile(r"<Argument: ([\w-]+)[^>]*>")

# A task that others belong to is typed by its name alone, they behind it: fleet, fleet.join.
_FLEET = "fleet"
TASKS = {
    f"{_FLEET}.{task.name}" if task is fleets.join else task.name: task for tasks in GROUPS.values() for task in tasks
}


class TaskProgram(Program):
    """invoke's program, with tasks in groups, files after a task's name, and its errors told as all others are."""

    @property
    def initial_context(self) -> ParserContext:
        """The program's own options; of the console command fewer can be typed than invoke asks for."""
        if self.namespace is None:
            return super().initial_context
        arguments = {argument.names[0]: argument for argument in self.core_args()}
        context = ParserContext(args=[arguments[name] for name in _CORE])
        for name in arguments.keys() - set(_CORE):
            context.args[name] = arguments[name]
        return context

    def parse_core(self, argv: list[str] | None) -> None:
        """Parses the program's own options."""
        with _told():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        """Brings the line into invoke's form, then parses as invoke does."""
        with _told():
            contexts = self._make_parser().contexts
            tasks = {name: _line_of(context) for context in contexts.values() for name in _names(context)}
            if self.core.remainder and not self.args.complete.value:
                raise UsageError(f"-- {self.core.remainder}: no task takes that; what begins with - is given as ./-")
            self.core.unparsed = read_line(self.core.unparsed, tasks, self.initial_context)
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Does what the program's own options ask for."""
        task, listing = self.args.help.value, self.args["list-format"].value
        with _told():
            if isinstance(task, str) and task not in self.parser.contexts:
                raise no_task(task, self.parser.contexts)
            if listing not in _LISTS:
                raise UsageError(f"--list-format {listing}: give {one_of(_LISTS)}")
            super().parse_cleanup()

    def _make_parser(self) -> Parser:
        # invoke takes the help away from a task when it makes a parser of it: the first parser alone has it.
        if not hasattr(self, "parser"):
            self.parser = super()._make_parser()
        return self.parser

    def print_help(self) -> None:
        """Prints what the program takes, and its tasks."""
        if self.namespace is None:
            super().print_help()
            return
        print(f"Usage: {self.binary} TASK [--option=VALUE ...]\n\nOptions beside the tasks' own:\n")
        self.print_columns(self.initial_context.help_tuples())
        self.list_tasks()

    def print_task_help(self, name: str) -> None:
        """Prints what a task does, and its options."""
        options = _options_of(name)
        if not options:
            super().print_task_help(name)
            return
        words = next((f" [{option.upper()} ...]" for option, declared in options.items() if declared.words), "")
        print(f"Usage: {self.binary} {name}{words} [--option=VALUE ...]\n\n{helpline(self.collection[name])}\n")
        self.print_columns(option_lines(TASKS[name].name))

    def list_flat(self) -> None:
        """Prints the tasks, a line each, in their groups; those of the checkout come last."""
        groups = {group: [(n, helpline(t)) for n, t in TASKS.items() if t in tasks] for group, tasks in GROUPS.items()}
        pairs = [(name.removesuffix(f" ({_FLEET})"), text) for name, text in self._make_pairs(self.scoped_collection)]
        project = [(name, text) for name, text in pairs if name not in (*TASKS, f"{_FLEET}.{_FLEET}")]
        if self.scoped_collection is not self.collection or not TASKS.keys() & set(self.collection.tasks):
            groups = {}
        groups |= {"this project": project} if project else {}
        width = max(len(name) for lines in groups.values() for name, _ in lines)
        for heading, lines in groups.items():
            print(f"{heading}:")
            for name, text in lines:
                print(f"  {name:<{width}}  {text or ''}".rstrip())
            print()


@contextmanager
def _told() -> Iterator[None]:
    """Tells in one line what cannot be read."""
    with one_line_errors():
        try:
            yield
        except Exit as error:
            if not error.message:
                raise
            raise UsageError(f"{error.message.rstrip('.!')}: `invoke --list` lists the tasks") from None
        except ParseError as error:
            said = _ARGUMENT.sub(r"--\1", str(error)).rstrip(".!")
            raise UsageError(f"{said}: `invoke --list` lists the tasks, `invoke --help TASK` its options") from None


def _line_of(context: ParserContext) -> TaskLine:
    options = _options_of(next(name for name in reversed(_names(context))))
    switches = frozenset(long_form(name) for name, option in options.items() if option.read is bool)
    return TaskLine(context, switches, next((long_form(name) for name, option in options.items() if option.words), ""))


def _options_of(name: str) -> dict[str, Option]:
    """The options of a task by the name that is typed; none of those that are not ours."""
    return options_for(TASKS[name].name) if name in TASKS else {}


def _names(context: ParserContext) -> Sequence[str]:
    return [context.name or "", *context.aliases]


def adopt() -> None:
    """Makes invoke's program, which has no place to say so, ours: for the tasks.py that it reads."""
    invoke.main.program.__class__ = TaskProgram


def namespace(*own: Any) -> Collection:
    """All tasks, and what a project adds: tasks, or collections of them."""
    fleet = Collection(_FLEET)
    fleet.add_task(fleets.fleet, default=True)
    fleet.add_task(fleets.join)
    alone = [task for name, task in TASKS.items() if task not in fleets.TASKS]
    return Collection(*alone, fleet, *own)


def main() -> None:
    """The console command."""
    try:
        own = version(CONSOLE_COMMAND)
    except PackageNotFoundError:
        own = "not installed"
    TaskProgram(name=CONSOLE_COMMAND, binary=CONSOLE_COMMAND, version=own, namespace=namespace()).run()
