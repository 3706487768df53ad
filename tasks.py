"""Invoke tasks: arguments in, one call of the pipeline out."""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task, task

from device_runtime.formats.errors import FormatError
from pipeline.errors import PipelineError, UsageError
from pipeline.settings import Settings, number, positive_number, target_name, whole_number

HELP = {
    "target": "x86 (this machine) or arm64 (a device connected by adb)",
    "data": "folder with the dataset; without it, a sample of real MNIST digits",
    "model": "a model's name, model.onnx, or path/to/module.py:factory",
    "seed": "draws the initial weights and the order of the images",
    "build": "folder of everything that can be built again",
    "cycles": "training steps (default: the model's recipe)",
    "epochs": "passes over the training images, instead of --cycles",
    "learning-rate": "learning rate (default: the model's recipe)",
    "batch-size": "images of one step (default: the model's recipe)",
    "accumulate": "batches whose mean gradient makes one step",
    "sink-size": "steps that the runtime makes in one call",
    "threads": "threads of the runtime on the target",
    "save-every": "save a checkpoint every so many steps",
    "target-accuracy": "stop at this accuracy on the test images",
    "schedule": "learning rate over time: constant, step or cosine",
    "augment": "change training images: flip, crop, or both with a comma",
    "engine": "lowered (runs everywhere) or reference (onnxruntime-training, x86 only)",
    "verbose": "print sizes and the inputs and outputs of every node",
    "classes": "of photographs, the classes to take, with commas (default: the first ten)",
    "optimizer": "adam, adamw, sgd or rmsprop, with options: sgd,momentum=0.9,dampening=0.01",
    "frozen-dtype": "how frozen weights are stored: float32, or float16 for half the size",
    "loss": "cross_entropy, mean_squared_error or binary_cross_entropy",
    "label-smoothing": "of cross entropy, the share of each label that is spread over all classes",
    "trainable": "what trains: head, all, or patterns over parameter names, with commas",
    "head": "of --model transfer: logits (the backbone's 1000 outputs) or features",
    "backbone": "of --model transfer: another backbone, model.onnx or path/to/module.py:factory",
    "no-cache": "pass every image through a frozen backbone each time",
    "runs": "folder that takes the results",
    "serial": "adb serial of the device, when there are several",
    "checkpoint": "evaluate this one, not the last: x86: its file; arm64: its name in the device's output folder",
    "repeats": "interleaved rounds, of which the median is taken",
    "seconds": "least duration of an engine's turn in a round",
    "networks": "lenet, mobilenet, transformer, or some of them with commas (default: all)",
}

# Where an option means something else to a task.
OTHER_HELP = {
    "bench": {
        "target": "x86 (this machine: everything) or arm64 (the lowered engine on a device connected by adb)",
        "data": "folder with photographs to convert and train on; without it, some are generated",
    },
    "train": {
        "checkpoint": "go on from this one: x86: its file; arm64: its name in the device's output folder",
        "seed": "draws the order of the images (default: that of the checkpoint, or 1)",
    },
}


def documented(body: Callable[..., None]) -> Task[Callable[..., None]]:
    """A task whose options are explained by HELP."""
    names = [name.replace("_", "-") for name in list(inspect.signature(body).parameters)[1:]]
    texts = HELP | OTHER_HELP.get(body.__name__, {})
    documented_body: Task[Callable[..., None]] = task(
        help={name: texts[name] for name in names},
        # A letter for each option would be whichever is free: -h was the threads, -v a number of steps.
        auto_shortflags=False,
    )(body)
    return documented_body


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns an error of the pipeline or of a file into one line on stderr and its exit code.

    SIGTERM cleans up as an interrupt does.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except FormatError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:
        # Who read our output has gone; what is left in the buffer would fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        # Whether a file exists is such an error itself where its folder may not be read.
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(143)


@documented
def export(c: Context, model: str = "lenet", data: str = "", seed: str = "1", build: str = "build") -> None:
    """Export the model to forward.onnx, and its preprocessing."""
    with one_line_errors():
        from pipeline.prepare import export_model, prepare
        from pipeline.progress import Progress

        settings = _settings("x86", data, model, seed, build)
        print(export_model(prepare(settings, Progress()), settings, Progress()))


@documented
def artifacts(c: Context, model: str = "lenet", data: str = "", seed: str = "1", build: str = "build") -> None:
    """Build onnxruntime-training's artifacts: gradient graph, eval graph, optimizer, checkpoint."""
    with one_line_errors():
        from pipeline.prepare import make_artifacts, prepare
        from pipeline.progress import Progress

        settings = _settings("x86", data, model, seed, build)
        print(make_artifacts(prepare(settings, Progress()), settings, Progress()))


@documented
def convert(c: Context, data: str = "", classes: str = "", build: str = "build") -> None:
    """Convert a dataset to BMP."""
    with one_line_errors():
        from pipeline.datasets.convert import ConvertOptions
        from pipeline.datasets.convert import convert as convert_dataset
        from pipeline.progress import Progress

        with Progress().counted("convert") as on_progress:
            options = ConvertOptions(classes=_words(classes))
            folder = convert_dataset(Path(data) if data else None, Path(build), options, on_progress)
        print(folder)


@documented
def runtime(c: Context, target: str = "x86", build: str = "build") -> None:
    """Assemble the runtime folder of a target."""
    with one_line_errors():
        from pipeline.prepare import make_runtime
        from pipeline.progress import Progress

        print(make_runtime(_settings(target, "", "lenet", "1", build), Progress()))


@documented
def package(
    c: Context,
    target: str = "x86",
    model: str = "lenet",
    data: str = "",
    classes: str = "",
    optimizer: str = "",
    trainable: str = "",
    loss: str = "",
    label_smoothing: str = "",
    frozen_dtype: str = "",
    head: str = "",
    backbone: str = "",
    seed: str = "1",
    build: str = "build",
) -> None:
    """Package runtime, model, dataset and runner into one folder."""
    with one_line_errors():
        from pipeline.prepare import make_package, prepare
        from pipeline.progress import Progress

        settings = _settings(target, data, model, seed, build)
        settings = replace(
            settings, **_choices(classes, optimizer, trainable, loss, label_smoothing, frozen_dtype, head, backbone)
        )
        print(make_package(prepare(settings, Progress()), settings, Progress()))


@documented
def train(
    c: Context,
    target: str = "x86",
    build: str = "build",
    serial: str = "",
    checkpoint: str = "",
    cycles: str = "",
    epochs: str = "",
    learning_rate: str = "",
    batch_size: str = "",
    accumulate: str = "",
    sink_size: str = "",
    seed: str = "",
    threads: str = "1",
    save_every: str = "",
    target_accuracy: str = "",
    schedule: str = "",
    augment: str = "",
    engine: str = "",
    verbose: bool = False,
) -> None:
    """Train the package on its target."""
    with one_line_errors():
        from pipeline.run import run_on_existing

        options = _training(
            *(cycles, epochs, learning_rate, batch_size, accumulate, sink_size),
            *(save_every, target_accuracy, schedule, augment, verbose, seed),
        )
        options = [*_start(checkpoint, target), *_checked([*options, *_common(threads, engine)], target)]
        run_on_existing(_settings(target, "", "lenet", seed or "1", build, serial), "train.sh", options)


@documented
def eval_(
    c: Context,
    target: str = "x86",
    build: str = "build",
    serial: str = "",
    checkpoint: str = "",
    threads: str = "1",
    engine: str = "",
) -> None:
    """Evaluate the last checkpoint of the target's package."""
    with one_line_errors():
        from pipeline.run import run_on_existing

        options = [*_start(checkpoint, target), *_checked(_common(threads, engine), target)]
        run_on_existing(_settings(target, "", "lenet", "1", build, serial), "eval.sh", options)


@documented
def pull(c: Context, target: str = "x86", build: str = "build", runs: str = "runs", serial: str = "") -> None:
    """Pull checkpoints and metrics of the last training."""
    with one_line_errors():
        from pipeline.run import pull_results

        print(pull_results(_settings(target, "", "lenet", "1", build, serial, runs)))


@documented
def run(
    c: Context,
    target: str = "x86",
    data: str = "",
    model: str = "lenet",
    cycles: str = "",
    epochs: str = "",
    learning_rate: str = "",
    batch_size: str = "",
    accumulate: str = "",
    sink_size: str = "",
    seed: str = "1",
    threads: str = "1",
    save_every: str = "",
    target_accuracy: str = "",
    schedule: str = "",
    augment: str = "",
    engine: str = "",
    verbose: bool = False,
    classes: str = "",
    optimizer: str = "",
    trainable: str = "",
    loss: str = "",
    label_smoothing: str = "",
    frozen_dtype: str = "",
    head: str = "",
    backbone: str = "",
    no_cache: bool = False,
    build: str = "build",
    runs: str = "runs",
    serial: str = "",
) -> None:
    """Export, package, push, evaluate, train, evaluate again and pull the results."""
    with one_line_errors():
        from pipeline.run import run as run_all

        options = _training(
            *(cycles, epochs, learning_rate, batch_size, accumulate, sink_size),
            *(save_every, target_accuracy, schedule, augment, verbose, seed),
        )
        common = _common(threads, engine, no_cache)
        settings = _settings(target, data, model, seed, build, serial, runs)
        chosen = _choices(classes, optimizer, trainable, loss, label_smoothing, frozen_dtype, head, backbone)
        words = _checked([*options, *common], target)
        settings = replace(
            settings,
            **chosen,
            engine=engine or "lowered",
            batch_size=int(batch_size) if batch_size else None,
            accumulate=int(accumulate or 1),
        )
        run_all(settings, words, common)


@documented
def status(c: Context, serial: str = "") -> None:
    """Say what runs on the device."""
    with one_line_errors():
        from pipeline.targets.device import AdbTarget

        print(AdbTarget.connect(serial or None).status())


@documented
def attach(c: Context, serial: str = "") -> None:
    """Stream the output of the device's job, from its beginning, until it ends."""
    with one_line_errors():
        from pipeline.targets.device import AdbTarget

        raise SystemExit(AdbTarget.connect(serial or None).attach(lambda line: print(line, flush=True)))


@documented
def stop(c: Context, serial: str = "") -> None:
    """End the device's job."""
    with one_line_errors():
        from pipeline.targets.device import AdbTarget

        AdbTarget.connect(serial or None).stop()


@task(name="start")
def emulator_start(c: Context) -> None:
    """Start an emulated arm64 device (Linux, root); prints what to set to use it."""
    with one_line_errors():
        from tests.emulator.device import start

        device = start()
        print(f"export ANDROID_ADB_SERVER_PORT={device.adb_server_port} ANDROID_SERIAL={device.serial}")


@task(name="stop")
def emulator_stop(c: Context) -> None:
    """Stop the emulated device and its adb server."""
    with one_line_errors():
        from tests.emulator import device

        device.stop()


@task(name="status")
def emulator_status(c: Context) -> None:
    """List the emulated devices that run."""
    with one_line_errors():
        from tests.emulator import device

        for running in device.status():
            print(f"{running.name}: {running.serial}, adb server on port {running.adb_server_port}")


@documented
def bench(
    c: Context,
    target: str = "x86",
    networks: str = "",
    repeats: str = "10",
    seconds: str = "0.2",
    data: str = "",
    build: str = "build",
    serial: str = "",
) -> None:
    """Measure the train step against onnxruntime-training and torch, memory, and what photographs cost."""
    with one_line_errors():
        from pipeline.bench.networks import choose
        from pipeline.bench.run import BenchOptions
        from pipeline.bench.run import bench as run_bench

        options = BenchOptions(
            choose(networks),
            whole_number("repeats", repeats, 1),
            positive_number("seconds", seconds),
            Path(data) if data else None,
            target_name(target),
            serial or None,
            Path(build),
        )
        run_bench(options)


@task
def check(c: Context) -> None:
    """Run what CI runs: ruff, mypy and all tests."""
    for command in ("ruff check .", "ruff format --check .", "mypy", "pytest"):
        c.run(f"{sys.executable} -m {command}", echo=True, pty=sys.stdout.isatty())


def _settings(
    target: str, data: str, model: str, seed: str, build: str, serial: str = "", runs: str = "runs"
) -> Settings:
    return Settings(
        target,
        Path(data) if data else None,
        model,
        Path(build),
        Path(runs),
        whole_number("seed", seed, 0),
        serial or None,
    )


def _training(
    cycles: str,
    epochs: str,
    learning_rate: str,
    batch_size: str,
    accumulate: str,
    sink_size: str,
    save_every: str,
    target_accuracy: str,
    schedule: str,
    augment: str,
    verbose: bool,
    seed: str,
) -> list[str]:
    """Options of the runner for train.sh."""
    pairs = [
        ("--cycles", cycles),
        ("--epochs", epochs),
        ("--learning-rate", learning_rate),
        ("--batch-size", batch_size),
        ("--accumulate", accumulate),
        ("--sink-size", sink_size),
        ("--save-every", save_every),
        ("--target-accuracy", target_accuracy),
        ("--schedule", schedule),
        ("--augment", augment),
        ("--seed", seed),
    ]
    return [word for option, value in pairs if value for word in (option, value)] + (["--verbose"] if verbose else [])


def _common(threads: str, engine: str, no_cache: bool = False) -> list[str]:
    return ["--threads", threads, *(["--engine", engine] if engine else []), *(["--no-cache"] if no_cache else [])]


def _checked(words: list[str], target: str) -> list[str]:
    """Options of the runner that it will take: wrong ones are told before anything is built."""
    from device_runtime.options import OptionsError, parse

    try:
        options = parse(["-f", "model", "-d", "dataset", *words], Path())
    except OptionsError as error:
        raise UsageError(str(error)) from None
    if options.cycles == 0:
        raise UsageError("--cycles 0 trains nothing: give at least 1")
    if options.engine == "reference" and target != "x86":
        raise UsageError(f"--engine reference does not run on {target}: use --engine lowered")
    return words


def _start(checkpoint: str, target: str) -> list[str]:
    """Option of the runner for the checkpoint to start from."""
    if not checkpoint:
        return []
    if target != "x86":
        from pipeline.targets.device import ROOT

        if "/" in checkpoint:
            raise UsageError(f"--checkpoint {checkpoint}: give the name of a file in the device's {ROOT}/output")
        return ["-f", f"{ROOT}/output/{checkpoint}"]
    if not Path(checkpoint).is_file():
        raise UsageError(f"the checkpoint {checkpoint} does not exist")
    return ["-f", str(Path(checkpoint).resolve())]


def _choices(
    classes: str,
    optimizer: str,
    trainable: str,
    loss: str,
    label_smoothing: str,
    frozen_dtype: str,
    head: str,
    backbone: str,
) -> dict[str, Any]:
    """Fields of Settings for what the user chose of model and recipe."""
    return {
        "classes": _words(classes),
        "optimizer": optimizer or None,
        "trainable": trainable or None,
        "loss": loss or None,
        "frozen_dtype": frozen_dtype or None,
        "label_smoothing": number("label-smoothing", label_smoothing) if label_smoothing else None,
        "head": head or None,
        "backbone": backbone or None,
    }


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",")) if text else ()


namespace = Collection(
    export, artifacts, convert, runtime, package, train, pull, run, status, attach, stop, bench, check
)
namespace.add_task(eval_, name="eval")
namespace.add_collection(Collection("emulator", emulator_start, emulator_stop, emulator_status))
