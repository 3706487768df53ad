"""Invoke tasks: arguments in, one call of the pipeline out."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, get_type_hints

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task, task

from device_runtime.formats.errors import FormatError
from pipeline.errors import PipelineError, UsageError
from pipeline.settings import Settings, listed, number, positive_number, target_name, whole_number


@dataclass(frozen=True)
class Options:
    """Every option, as it is typed, with its help and its default; each task takes some of them."""

    target: Annotated[str, "x86 (this machine) or arm64 (a device connected by adb)"] = "x86"
    data: Annotated[str, "folder with the dataset; without it, a sample of real MNIST digits"] = ""
    model: Annotated[str, "a model's name, model.onnx, or path/to/module.py:factory"] = "lenet"
    seed: Annotated[str, "draws the initial weights and the order of the images (default: 1)"] = ""
    build: Annotated[str, "folder of everything that can be built again"] = "build"
    runs: Annotated[str, "folder that takes the results"] = "runs"
    serial: Annotated[str, "adb serial of the device, when there are several"] = ""
    checkpoint: Annotated[
        str, "evaluate this one, not the last: x86: its file; arm64: its name in the device's output folder"
    ] = ""

    cycles: Annotated[str, "training steps (default: the model's recipe)"] = ""
    epochs: Annotated[str, "passes over the training images, instead of --cycles"] = ""
    learning_rate: Annotated[str, "learning rate (default: the model's recipe)"] = ""
    batch_size: Annotated[str, "images of one step (default: the model's recipe)"] = ""
    accumulate: Annotated[str, "batches whose mean gradient makes one step"] = ""
    sink_size: Annotated[str, "steps that the runtime makes in one call"] = ""
    save_every: Annotated[str, "save a checkpoint every so many steps"] = ""
    target_accuracy: Annotated[str, "stop at this accuracy on the test images"] = ""
    schedule: Annotated[str, "learning rate over time: constant, step or cosine"] = ""
    augment: Annotated[str, "change training images: flip, crop, or both with a comma"] = ""
    verbose: Annotated[bool, "print sizes and the inputs and outputs of every node"] = False
    threads: Annotated[str, "threads of the runtime on the target"] = "1"
    engine: Annotated[str, "lowered (runs everywhere) or reference (onnxruntime-training, x86 only)"] = ""
    no_cache: Annotated[bool, "pass every image through a frozen backbone each time"] = False

    classes: Annotated[str, "of photographs, the classes to take, with commas (default: the first ten)"] = ""
    optimizer: Annotated[str, "adam, adamw, sgd or rmsprop, with options: sgd,momentum=0.9,dampening=0.01"] = ""
    trainable: Annotated[str, "what trains: head, all, or patterns over parameter names, with commas"] = ""
    loss: Annotated[str, "cross_entropy, mean_squared_error or binary_cross_entropy"] = ""
    label_smoothing: Annotated[str, "of cross entropy, the share of each label that is spread over all classes"] = ""
    frozen_dtype: Annotated[str, "how frozen weights are stored: float32, or float16 for half the size"] = ""
    head: Annotated[str, "of --model transfer: logits (the backbone's 1000 outputs) or features"] = ""
    backbone: Annotated[str, "of --model transfer: another backbone, model.onnx or path/to/module.py:factory"] = ""

    repeats: Annotated[str, "interleaved rounds, of which the median is taken"] = "10"
    seconds: Annotated[str, "least duration of an engine's turn in a round"] = "0.2"
    networks: Annotated[str, "lenet, mobilenet, transformer, or some of them with commas (default: all)"] = ""


DEFAULTS = Options()

# Options of the runner: for every script, and for train.sh alone.
RUNNER = ("threads", "engine")
TRAINING = (
    *("cycles", "epochs", "learning_rate", "batch_size", "accumulate", "sink_size", "save_every", "target_accuracy"),
    *("schedule", "augment", "seed", "verbose"),
)
# Chosen of the model and its recipe.
CHOICES = ("classes", "optimizer", "trainable", "loss", "label_smoothing", "frozen_dtype", "head", "backbone")

Body = Callable[[Options], None]


def takes(*names: str, **other_help: str) -> Callable[[Body], Task[Body]]:
    """A task of a function of the options: the user may give those of `names`, the others have their defaults.

    Args:
      names: fields of `Options`.
      other_help: what an option means to this task, where that is something else.
    """

    def make(body: Body) -> Task[Body]:
        @functools.wraps(body)
        def run_task(c: Context, **given: Any) -> None:
            with one_line_errors():
                body(Options(**given))

        # invoke reads a task's options from here.
        run_task.__signature__ = Signature(  # type: ignore[attr-defined]
            [
                Parameter("c", Parameter.POSITIONAL_OR_KEYWORD),
                *(Parameter(n, Parameter.POSITIONAL_OR_KEYWORD, default=getattr(DEFAULTS, n)) for n in names),
            ]
        )
        hints = get_type_hints(Options, include_extras=True)
        made: Task[Body] = task(
            help={name: hints[name].__metadata__[0] for name in names} | other_help,
            # A letter for each option would be whichever is free: -h was the threads, -v a number of steps.
            auto_shortflags=False,
        )(run_task)
        return made

    return make


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


@takes("model", "data", "seed", "build")
def export(options: Options) -> None:
    """Export the model to forward.onnx, and its preprocessing."""
    from pipeline.prepare import export_model, prepare

    print(export_model(prepare(_settings(options))))


@takes("model", "data", "seed", "build")
def artifacts(options: Options) -> None:
    """Build onnxruntime-training's artifacts: gradient graph, eval graph, optimizer, checkpoint."""
    from pipeline.prepare import make_artifacts, prepare

    print(make_artifacts(prepare(_settings(options))))


@takes("data", "classes", "build")
def convert(options: Options) -> None:
    """Convert a dataset to BMP."""
    from pipeline.prepare import convert_data

    print(convert_data(_settings(options)))


@takes("target", "build")
def runtime(options: Options) -> None:
    """Assemble the runtime folder of a target."""
    from pipeline.prepare import make_runtime

    print(make_runtime(_settings(options)))


@takes("target", "model", "data", *CHOICES, "seed", "build")
def package(options: Options) -> None:
    """Package runtime, model, dataset and runner into one folder."""
    from pipeline.prepare import make_package, prepare

    settings = _settings(options)
    print(make_package(prepare(settings), settings))


@takes(
    *("target", "build", "serial", "checkpoint", *TRAINING, *RUNNER),
    checkpoint="go on from this one: x86: its file; arm64: its name in the device's output folder",
    seed="draws the order of the images (default: that of the checkpoint, or 1)",
)
def train(options: Options) -> None:
    """Train the package on its target."""
    from pipeline.run import run_on_existing

    words = [*_start(options), *_checked([*_words(options, TRAINING), *_words(options, RUNNER)], options.target)]
    run_on_existing(_settings(options), "train.sh", words)


@takes("target", "build", "serial", "checkpoint", *RUNNER)
def eval_(options: Options) -> None:
    """Evaluate the last checkpoint of the target's package."""
    from pipeline.run import run_on_existing

    words = [*_start(options), *_checked(_words(options, RUNNER), options.target)]
    run_on_existing(_settings(options), "eval.sh", words)


@takes("target", "build", "runs", "serial")
def pull(options: Options) -> None:
    """Pull checkpoints and metrics of the last training."""
    from pipeline.run import pull_results

    print(pull_results(_settings(options)))


@takes("target", "data", "model", *TRAINING, *RUNNER, "no_cache", *CHOICES, "build", "runs", "serial")
def run(options: Options) -> None:
    """Export, package, push, evaluate, train, evaluate again and pull the results."""
    from pipeline.run import run as run_all

    settings = _settings(options)
    common = _words(options, (*RUNNER, "no_cache"))
    run_all(settings, _checked([*_words(options, TRAINING), *common], options.target), common)


@takes("serial")
def status(options: Options) -> None:
    """Say what runs on the device."""
    from pipeline.targets.arm64 import AdbTarget

    print(AdbTarget.connect(options.serial or None).status())


@takes("serial")
def attach(options: Options) -> None:
    """Stream the output of the device's job, from its beginning, until it ends."""
    from pipeline.targets.arm64 import AdbTarget

    raise SystemExit(AdbTarget.connect(options.serial or None).attach(lambda line: print(line, flush=True)))


@takes("serial")
def stop(options: Options) -> None:
    """End the device's job."""
    from pipeline.targets.arm64 import AdbTarget

    AdbTarget.connect(options.serial or None).stop()


@task(name="start")
@one_line_errors()
def emulator_start(c: Context) -> None:
    """Start an emulated arm64 device (Linux, root); prints what to set to use it."""
    from tests.emulator.device import start

    device = start()
    print(f"export ANDROID_ADB_SERVER_PORT={device.adb_server_port} ANDROID_SERIAL={device.serial}")


@task(name="stop")
@one_line_errors()
def emulator_stop(c: Context) -> None:
    """Stop the emulated device and its adb server."""
    from tests.emulator import device

    device.stop()


@task(name="status")
@one_line_errors()
def emulator_status(c: Context) -> None:
    """List the emulated devices that run."""
    from tests.emulator import device

    for running in device.status():
        print(f"{running.name}: {running.serial}, adb server on port {running.adb_server_port}")


@takes(
    *("target", "networks", "repeats", "seconds", "data", "build", "serial"),
    target="x86 (this machine: everything) or arm64 (the lowered engine on a device connected by adb)",
    data="folder with photographs to convert and train on; without it, some are generated",
)
def bench(options: Options) -> None:
    """Measure the train step against onnxruntime-training and torch, memory, and what photographs cost."""
    from pipeline.bench.networks import choose
    from pipeline.bench.run import BenchOptions
    from pipeline.bench.run import bench as run_bench

    run_bench(
        BenchOptions(
            choose(options.networks),
            whole_number("repeats", options.repeats, 1),
            positive_number("seconds", options.seconds),
            Path(options.data) if options.data else None,
            target_name(options.target),
            options.serial or None,
            Path(options.build),
        )
    )


@task
def check(c: Context) -> None:
    """Run what CI runs: ruff, mypy and all tests."""
    for command in ("ruff check .", "ruff format --check .", "mypy", "pytest"):
        c.run(f"{sys.executable} -m {command}", echo=True, pty=sys.stdout.isatty())


def _settings(options: Options) -> Settings:
    return Settings(
        target=options.target,
        data=Path(options.data) if options.data else None,
        model=options.model,
        build=Path(options.build),
        runs=Path(options.runs),
        seed=whole_number("seed", options.seed or "1", 0),
        serial=options.serial or None,
        classes=listed(options.classes) if options.classes else (),
        optimizer=options.optimizer or None,
        trainable=options.trainable or None,
        loss=options.loss or None,
        label_smoothing=number("label-smoothing", options.label_smoothing) if options.label_smoothing else None,
        frozen_dtype=options.frozen_dtype or None,
        head=options.head or None,
        backbone=options.backbone or None,
        engine=options.engine or "lowered",
        batch_size=whole_number("batch-size", options.batch_size, 1) if options.batch_size else None,
        accumulate=whole_number("accumulate", options.accumulate or "1", 1),
    )


def _words(options: Options, names: Sequence[str]) -> list[str]:
    """Some of the options as the runner takes them, under the same names."""
    words: list[str] = []
    for name in names:
        value: str | bool = getattr(options, name)
        if value:
            words += [f"--{name.replace('_', '-')}", *([value] if isinstance(value, str) else [])]
    return words


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


def _start(options: Options) -> list[str]:
    """Option of the runner for the checkpoint to start from."""
    checkpoint = options.checkpoint
    if not checkpoint:
        return []
    if options.target != "x86":
        from pipeline.targets.arm64 import ROOT

        if "/" in checkpoint:
            raise UsageError(f"--checkpoint {checkpoint}: give the name of a file in the device's {ROOT}/output")
        return ["-f", f"{ROOT}/output/{checkpoint}"]
    if not Path(checkpoint).is_file():
        raise UsageError(f"the checkpoint {checkpoint} does not exist")
    return ["-f", str(Path(checkpoint).resolve())]


namespace = Collection(
    export, artifacts, convert, runtime, package, train, pull, run, status, attach, stop, bench, check
)
namespace.add_task(eval_, name="eval")
namespace.add_collection(Collection("emulator", emulator_start, emulator_stop, emulator_status))
