"""Where options come from."""

from __future__ import annotations

from pathlib import Path

from pipeline.cli.tasks.declaring import takes_options, takes_typed
from pipeline.configuration.given import Typed
from pipeline.settings import Settings


@takes_typed
def config(typed: Typed) -> None:
    """Show each option's value, and where it comes from."""
    from pipeline.configuration.show import shown

    print(shown(typed))


@takes_options
def init(settings: Settings) -> None:
    """Write a commented train.toml with every option."""
    from pipeline.configuration.template import write_template

    print(write_template(Path.cwd()).name)


TASKS = (init, config)
