"""What a user typed, in the form that invoke's parser reads; what it would misread, or not tell well, is refused.

invoke takes each word for the next task, so the words of `infer image.png folder/` are named before:
`--paths image.png --paths folder/`. A switch is told from an option with a value, an option that lacks its value from
one that has it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from pipeline.configuration.declared import ASKING
from pipeline.errors import UsageError, brief, nearest


@dataclass(frozen=True)
class TaskLine:
    """What may stand behind a task's name.

    Attributes:
      context: the task's options, as invoke's parser has them.
      switches: the flags of those that are on or off, and which invoke hands over as true or false.
      words: the flag of the option that holds words; empty where none does.
    """

    context: ParserContext
    switches: frozenset[str] = frozenset()
    words: str = ""


def read_line(line: Sequence[str], tasks: Mapping[str, TaskLine], core: ParserContext) -> list[str]:
    """The line as invoke reads it. What takes words takes the rest of the line, but for its options.

    Args:
      line: what was typed after the program's own options.
      tasks: by name.
      core: the program's own options, which may also stand behind a task's name.

    Raises:
      UsageError: a word or an option is unknown, given twice, or half.
    """
    read, rest = list[str](), deque(line)
    task: TaskLine | None = None
    seen = set[str]()
    while rest:
        word = rest.popleft()
        if not word.startswith("-") or word == "-":
            if task and task.words:
                read += [task.words, word]
                continue
            if word not in tasks:
                raise _no_word(word, task, tasks)
            task, seen = tasks[word], set()
            read.append(word)
        elif task and _has(task.context, word):
            read += _option(word, rest, task, core, seen)
        elif _has(core, word):
            read += _as_it_is(word, rest, core)
        else:
            raise _unknown(word.partition("=")[0], task, tasks, core)
    return read


def _has(context: ParserContext, word: str) -> bool:
    # One dash: a letter, and behind it its value or further letters.
    return (word.partition("=")[0] if word.startswith("--") else word[:2]) in context.flags


def _option(word: str, rest: deque[str], task: TaskLine, core: ParserContext, seen: set[str]) -> list[str]:
    """An option of a task and its value, which may stand in the rest of the line."""
    flag, equals, value = word.partition("=")
    if not flag.startswith("--"):
        return _as_it_is(word, rest, task.context)
    argument = task.context.flags[flag]
    if flag in seen and flag != task.words:
        raise UsageError(f"{flag} is given twice: leave one of the two out")
    seen.add(flag)
    if flag in task.switches:
        if equals and value not in ("true", "false"):
            raise UsageError(f"{word}: give {flag}, or {flag}=false where a file or the environment says true")
        return [flag, value or "true"]
    if not argument.takes_value:
        if equals:
            raise UsageError(f"{word}: {flag} takes no value")
        return [flag]
    if not equals and rest and not _is_option(rest[0], task, core):
        value = rest.popleft()
    elif not equals and argument.optional:
        return [flag]
    _check_value(flag, value, argument)
    return [flag, value]


def _check_value(flag: str, value: str, argument: Argument) -> None:
    if not value:
        meaning = f": {argument.help}" if argument.help else ""
        raise UsageError(f"{flag} is given without its value{meaning}")
    # Of the checkout's own tasks, for which invoke reads the number.
    if argument.kind is int and not value.isdecimal():
        raise UsageError(f"{flag} {value}: give a whole number")


def _is_option(word: str, task: TaskLine, core: ParserContext) -> bool:
    """Whether a word is an option and not the value of the one before it, which may be a number below 0."""
    return word.startswith("--") or (len(word) > 1 and (_has(task.context, word) or _has(core, word)))


def _as_it_is(word: str, rest: deque[str], context: ParserContext) -> list[str]:
    """An option that invoke reads well, with its value."""
    argument = context.flags[word.partition("=")[0] if word.startswith("--") else word[:2]]
    alone = "=" in word or not argument.takes_value or argument.optional or (len(word) > 2 and word[1] != "-")
    return [word] if alone or not rest else [word, rest.popleft()]


def no_task(word: str, tasks: Iterable[str]) -> UsageError:
    """What is said of a task that there is not."""
    return UsageError(f"{word!r} is no task{nearest(word, tasks) or ': `invoke --list` lists them'}")


def _no_word(word: str, task: TaskLine | None, tasks: Mapping[str, TaskLine]) -> UsageError:
    if task is None:
        return no_task(word, tasks)
    return UsageError(
        f"{word!r} behind {_typed(task.context.name)} is neither an option nor a task{nearest(word, tasks)}"
    )


def _unknown(flag: str, task: TaskLine | None, tasks: Mapping[str, TaskLine], core: ParserContext) -> UsageError:
    taking = [name for name, known in tasks.items() if flag in known.context.flags and name != ASKING]
    takers = list(dict.fromkeys(map(_typed, taking)))
    if task is None:
        place = f": it stands behind its task, as in `invoke {takers[0]} {flag}`" if takers else ""
        return UsageError(f"{flag} is no option{place or nearest(flag, core.flags)}")
    known = task.context.flags
    others = f": {brief(takers)} {'takes' if len(takers) == 1 else 'take'} it" if takers else ""
    advice = others or nearest(flag, known) or f": `invoke --help {_typed(task.context.name)}` lists those it takes"
    return UsageError(f"{_typed(task.context.name)} takes no option {flag}{advice}")


def _typed(name: str | None) -> str:
    """A task as it is typed: one of the same name as its group by that name alone."""
    group, dot, task = (name or "").partition(".")
    return group if task == group else f"{group}{dot}{task}"
