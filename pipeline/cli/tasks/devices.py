"""What is asked of a device."""

from __future__ import annotations

from pipeline.cli.tasks.declaring import takes_options
from pipeline.settings import Settings


@takes_options
def doctor(settings: Settings) -> None:
    """Say what a run needs, what is missing, and what mends it."""
    from pipeline.doctor.doctor import doctor as look

    raise SystemExit(look(settings))


@takes_options
def devices(settings: Settings) -> None:
    """List the devices that adb sees."""
    from pipeline.doctor.devices import print_devices

    print_devices(settings)


@takes_options
def status(settings: Settings) -> None:
    """Say what runs on the device."""
    from pipeline.targets.device import connect

    print(connect(settings.serial).status())


@takes_options
def attach(settings: Settings) -> None:
    """Stream the output of the device's job until it ends."""
    from pipeline.running.scripts import print_line, shown
    from pipeline.targets.device import connect

    with shown(print_line) as take:
        raise SystemExit(connect(settings.serial).attach(take))


@takes_options
def stop(settings: Settings) -> None:
    """End the device's job."""
    from pipeline.targets.device import connect

    connect(settings.serial).stop()


@takes_options
def clean(settings: Settings) -> None:
    """Remove what runs left on the device, or what was built."""
    from pipeline.doctor.cleaning import clean as remove

    remove(settings)


TASKS = (doctor, devices, status, attach, stop, clean)
