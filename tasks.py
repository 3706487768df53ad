"""Invoke tasks: arguments in, one call of the pipeline out."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from inspect import Parameter, Signature
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task, task

from device_runtime.formats.errors import FormatError
from pipeline.errors import PipelineError, in_line
from pipeline.files import alone_in
from pipeline.settings import Settings, options_for, read_settings

Body = Callable[[Settings], None]

# Tasks that change the build folder, or would be disturbed if another did.
BUILDING = ("export", "artifacts", "convert", "runtime", "package", "train", "eval", "run", "bench")


def takes_options(body: Body) -> Task[Body]:
    """A task of a function of the settings: it takes the options whose declaration names it."""
    name = body.__name__.rstrip("_")
    options = options_for(name)

    @functools.wraps(body)
    def run_task(c: Context, **typed: Any) -> None:
        with one_line_errors():
            settings = read_settings(typed)
            with _alone_in(settings.build) if name in BUILDING else nullcontext():
                body(settings)

    # invoke reads a task's options from here.
    run_task.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter("c", Parameter.POSITIONAL_OR_KEYWORD),
            *(
                Parameter(n, Parameter.POSITIONAL_OR_KEYWORD, default=False if option.read is bool else None)
                for n, option in options.items()
            ),
        ]
    )
    made: Task[Body] = task(
        name=name,
        help={n: option.help_for(name) for n, option in options.items()},
        # A letter for each option would be whichever is free: -h was the threads, -v a number of steps.
        auto_shortflags=False,
        optional=[n for n, option in options.items() if option.alone],
    )(run_task)
    return made


def _alone_in(build: Path) -> AbstractContextManager[None]:
    def waits() -> None:
        print(
            f"waiting for another invoke that uses {build}; --build names another folder", file=sys.stderr, flush=True
        )

    return alone_in(build, waits)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns an error of the pipeline or of a file into one line on stderr and its exit code.

    SIGTERM cleans up as an interrupt does.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, TextIOWrapper):
        # A folder's name may be any bytes, and is printed as it is.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        yield
    except PipelineError as error:
        print(f"error: {in_line(str(error))}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except FormatError as error:
        print(f"error: {in_line(str(error))}", file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:
        # Who read our output has gone; what is left in the buffer would fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        # Whether a file exists is such an error itself where its folder may not be read.
        if error.filename is None:
            raise
        print(f"error: {in_line(str(error.filename))}: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(143)


@takes_options
def export(settings: Settings) -> None:
    """Export the model to forward.onnx, and its preprocessing."""
    from pipeline.prepare import export_model, prepare

    print(export_model(prepare(settings)))


@takes_options
def artifacts(settings: Settings) -> None:
    """Build onnxruntime-training's artifacts: gradient graph, eval graph, optimizer, checkpoint."""
    from pipeline.prepare import make_artifacts, prepare

    print(make_artifacts(prepare(settings)))


@takes_options
def convert(settings: Settings) -> None:
    """Convert a dataset to BMP."""
    from pipeline.prepare import convert_data, look_at_data

    if settings.check:
        look_at_data(settings)
    else:
        print(convert_data(settings))


@takes_options
def runtime(settings: Settings) -> None:
    """Assemble the runtime folder of a target."""
    from pipeline.prepare import make_runtime

    print(make_runtime(settings))


@takes_options
def package(settings: Settings) -> None:
    """Package runtime, model, dataset and runner into one folder."""
    from pipeline.prepare import make_package, prepare

    print(make_package(prepare(settings), settings))


@takes_options
def train(settings: Settings) -> None:
    """Train the package on its target."""
    from pipeline.run import run_on_existing, train_on

    if settings.resume is None:
        run_on_existing(settings, "train.sh")
    else:
        train_on(settings)


@takes_options
def eval_(settings: Settings) -> None:
    """Evaluate the last checkpoint of the target's package."""
    from pipeline.run import run_on_existing

    run_on_existing(settings, "eval.sh")


@takes_options
def pull(settings: Settings) -> None:
    """Pull checkpoints and metrics of the last training."""
    from pipeline.run import pull_results

    print(pull_results(settings))


@takes_options
def run(settings: Settings) -> None:
    """Export, package, push, evaluate, train, evaluate again and pull the results."""
    from pipeline.run import go_on
    from pipeline.run import run as run_all

    if settings.resume is None:
        run_all(settings)
    else:
        go_on(settings)


@takes_options
def status(settings: Settings) -> None:
    """Say what runs on the device."""
    from pipeline.targets.device import connect

    print(connect(settings.serial).status())


@takes_options
def attach(settings: Settings) -> None:
    """Stream the output of the device's job, from its beginning, until it ends."""
    from pipeline.targets.device import connect

    raise SystemExit(connect(settings.serial).attach(lambda line: print(line, flush=True)))


@takes_options
def stop(settings: Settings) -> None:
    """End the device's job."""
    from pipeline.targets.device import connect

    connect(settings.serial).stop()


@task(name="start", help={"android": "its version: 8, 10 or 14 (default)"}, auto_shortflags=False)
@one_line_errors()
def emulator_start(c: Context, android: str = "14") -> None:
    """Start an emulated arm64 device (Linux, root), which is found when there is no other; prints what names it."""
    from pipeline.targets.adb.emulated import Emulated, register
    from tests.emulator.android import read_number
    from tests.emulator.device import Hardware, start

    device = start(hardware=Hardware(android=read_number(android)))
    register(device.name, Emulated(device.serial, device.adb_server_port))
    print(f"export ANDROID_ADB_SERVER_PORT={device.adb_server_port} ANDROID_SERIAL={device.serial}")


@task(name="stop")
@one_line_errors()
def emulator_stop(c: Context) -> None:
    """Stop the emulated device and its adb server."""
    from pipeline.targets.adb.emulated import forget
    from tests.emulator import device

    forget(device.DEFAULT_NAME)
    device.stop()


@task(name="status")
@one_line_errors()
def emulator_status(c: Context) -> None:
    """List the emulated devices that run."""
    from tests.emulator import device

    for running in device.status():
        android = running.hardware.android
        print(f"{running.name}: Android {android}, {running.serial}, adb server on port {running.adb_server_port}")


@takes_options
def bench(settings: Settings) -> None:
    """Measure the train step against onnxruntime-training and torch, memory, and what photographs cost."""
    from pipeline.bench.run import bench as run_bench

    run_bench(settings)


@task(help={"cases": "how many, over all readers", "seed": "where they begin"})
def fuzz(c: Context, cases: int = 200_000, seed: int = 1) -> None:
    """Give every reader of files and of adb's answers damaged ones, each within bounds of time, memory and place."""
    c.run(f"{sys.executable} -m tests.fuzz.campaign {cases} {seed}")


@task
@one_line_errors()
def pins(c: Context) -> None:
    """Record the newest versions of Debian's packages in packaging/debian-*.toml."""
    from pipeline.packing.pins import renew

    changed = renew()
    print("\n".join(f"replaced {line}" for line in changed) or "nothing changed")


@task
def check(c: Context) -> None:
    """Run what CI runs: ruff, mypy and all tests."""
    for command in ("ruff check .", "ruff format --check .", "mypy", "pytest -n auto --dist loadfile"):
        c.run(f"{sys.executable} -m {command}", echo=True, pty=sys.stdout.isatty())


namespace = Collection(
    *(export, artifacts, convert, runtime, package, train, eval_, pull, run, status, attach, stop),
    *(bench, fuzz, pins, check),
)
namespace.add_collection(Collection("emulator", emulator_start, emulator_stop, emulator_status))
