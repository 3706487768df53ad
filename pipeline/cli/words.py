"""Words after a task's name that are no option: files and folders, as `infer image.png folder/` takes them.

invoke takes each such word for the next task. So they are named before: `--paths image.png --paths folder/`.
What takes words takes the rest of the line, but for its options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from invoke.parser.context import ParserContext


def named_words(line: Sequence[str], contexts: Mapping[str, ParserContext], takers: Mapping[str, str]) -> list[str]:
    """The line with an option's name before each word.

    Args:
      line: what was typed after the program's own options.
      contexts: the tasks, by name, as invoke's parser has them.
      takers: by the name of a task that takes words, the flag of the option that holds them.
    """
    begin = next((number for number, word in enumerate(line) if word in takers), None)
    if begin is None:
        return list(line)
    context, flag = contexts[line[begin]], takers[line[begin]]
    named, rest = list(line[: begin + 1]), iter(line[begin + 1 :])
    for word in rest:
        if not word.startswith("-"):
            named += [flag, word]
            continue
        named.append(word)
        argument = context.flags.get(word)
        if argument is not None and argument.takes_value and not argument.optional:
            named += [value for value in (next(rest, None),) if value is not None]
    return named
