"""All options in the order in which they are shown, and what they mean."""

from __future__ import annotations

from device_runtime.formats.option import Option
from pipeline.configuration.declared import declared, tasks_with_options


def by_task() -> dict[str, dict[str, Option]]:
    """The options of a file, each under the first task that takes it; the task of the most options comes first."""
    rest = {name: option for name, option in declared().items() if not option.words}
    sections: dict[str, dict[str, Option]] = {}
    for task in tasks_with_options():
        sections[task] = {name: rest.pop(name) for name, option in list(rest.items()) if task in option.tasks}
    return {task: options for task, options in sections.items() if options}


def takers(option: Option) -> str:
    """The tasks that take it."""
    return ", ".join(dict.fromkeys(option.tasks))


def meanings(option: Option) -> list[str]:
    """What it means, and to which tasks something else."""
    tasks: dict[str, list[str]] = {}
    for task, text in option.meant.items():
        tasks.setdefault(text, []).append(task)
    most = [option.help] if set(option.tasks) - set(option.meant) else []
    return [*most, *(f"{', '.join(names)}: {text}" for text, names in tasks.items())]
