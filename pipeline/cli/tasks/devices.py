"""What is asked of a device."""

from __future__ import annotations

from pipeline.cli.tasks.declaring import takes_options
from pipeline.settings import Settings


@takes_options
def status(settings: Settings) -> None:
    """Say what runs on the device."""
    from pipeline.targets.device import connect

    print(connect(settings.serial).status())


@takes_options
def attach(settings: Settings) -> None:
    """Stream the output of the device's job until it ends."""
    from pipeline.targets.device import connect

    raise SystemExit(connect(settings.serial).attach(lambda line: print(line, flush=True)))


@takes_options
def stop(settings: Settings) -> None:
    """End the device's job."""
    from pipeline.targets.device import connect

    connect(settings.serial).stop()


TASKS = (status, attach, stop)
