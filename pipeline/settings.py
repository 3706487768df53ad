"""What a user may ask for: each option of the host is declared once, here; the runner's own are beside the runner.

An option is a field of `Settings`: name, type and default are the field's, `Option` says what it means, how its text is
read and which tasks take it. Tasks, checks and the runner's command line are made of that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from device_runtime.formats.option import Option, long_form, number, options_of, positive_whole_number
from device_runtime.formats.options import DEFAULT_SEED, LOWERED, OptionsError
from device_runtime.formats.options import Options as RunnerOptions
from pipeline.errors import UsageError, nearest
from pipeline.optimizers import RULES, Optimizer, parse_optimizer
from pipeline.options import colour, listed, names_of_classes, one_of, positive_number
from pipeline.recipe import FROZEN_DTYPES, LOSSES
from pipeline.targets import Kind, kind_of, target_name

# Tasks that read the model, that convert the dataset, and that talk to a target.
_MODEL = ("export", "artifacts", "package", "run")
_DATA = (*_MODEL, "convert")
_CHOICE = ("package", "run")
_TARGET = ("runtime", "package", "train", "eval", "pull", "run", "infer", "bench", "doctor", "clean")
_DEVICE = ("train", "eval", "pull", "run", "infer", "status", "attach", "stop", "bench", "devices", "doctor", "clean")

# The task that says what options are.
ASKING = "config"


# What may be said of a training that goes on: where it is, and how it is shown.
_BESIDE_RESUME = ("resume", "target", "serial", "build", "runs", "verbose", "stay_awake", "tensorboard")


def _trainable(text: str) -> tuple[str, ...]:
    """Shell patterns over parameter names."""
    return {"head": ("head.*",), "all": ("*",)}.get(text, listed(text))


def _task(text: str) -> str:
    if text not in tasks_with_options():
        raise ValueError(f"the name of a task that takes options{nearest(text, tasks_with_options())}")
    return text


@dataclass(frozen=True)
class Settings:
    """What a user asks for. None: the model's recipe decides.

    Attributes:
      resume: a results folder, or its name; empty for the newest training; None where none is to go on.
      runner: what is for the runner on the target; of it the host reads seed, engine and the size of a step.

    Raises:
      UsageError: options contradict each other.
    """

    target: Annotated[
        str,
        Option(
            "arm64 (a device connected by adb) or x86 (this machine; with --serial such a device)",
            target_name,
            (*_TARGET, "status", "attach", "stop"),
            {
                "bench": "x86 (this machine: everything) or arm64, or x86 with --serial (a device: the lowered engine)",
                **dict.fromkeys(("status", "attach", "stop"), "need not be given: the device says what it is"),
            },
        ),
    ] = "x86"
    model: Annotated[str, Option("a model's name, model.onnx, or path/to/module.py:factory", str, _MODEL)] = "lenet"
    build: Annotated[
        Path, Option("folder of everything that can be built again", Path, (*_DATA, *_TARGET, "report"))
    ] = Path("build")
    data: Annotated[
        Path | None,
        Option(
            "folder with the dataset; without it, a sample of real MNIST digits",
            Path,
            (*_DATA, "eval", "bench"),
            {
                "eval": "with --run: the folder with the images to evaluate it on",
                "bench": "folder with photographs to convert and train on; without it, some are generated",
            },
            apart=("eval", "bench"),
            example="FOLDER",
        ),
    ] = None
    runs: Annotated[
        Path,
        Option(
            "folder that takes the results",
            Path,
            ("run", "train", "pull", "infer", "eval", "doctor", "report", "runs"),
            dict.fromkeys(("infer", "eval", "report", "runs"), "folder that has the results"),
        ),
    ] = Path("runs")
    output: Annotated[
        Path | None, Option("the page that compares several (default: comparison.html in --runs)", Path, ("report",))
    ] = None
    tensorboard: Annotated[
        bool, Option("write the training's curves for TensorBoard, too, into tensorboard/", bool, ("run", "pull"))
    ] = False
    run: Annotated[
        str | None,
        Option(
            "a finished run: its results folder, or the name of one in --runs (default: the newest)",
            str,
            ("infer", "eval"),
            {"eval": "evaluate this finished run on --data: its results folder, or the name of one in --runs"},
        ),
    ] = None
    top: Annotated[int, Option("so many classes of each picture", positive_whole_number, ("infer",))] = 1
    serial: Annotated[
        str | None,
        Option(
            "adb serial of the device, when there are several; makes --target x86 a device",
            str,
            ("runtime", "package", *_DEVICE),
            example="emulator-5554",
        ),
    ] = None
    checkpoint: Annotated[
        str | None,
        Option(
            "evaluate this one, not the last: its file; on a device, its name in the output folder there",
            str,
            ("train", "eval"),
            {"train": "go on from this one: its file; on a device, its name in the output folder there"},
            example="lenet_trained_300.safetensors",
        ),
    ] = None
    resume: Annotated[
        str | None,
        Option(
            "go on with the interrupted training, with its own options: on the target, or that of a results folder",
            str,
            ("train", "run"),
            alone=True,
            example="runs/NAME",
        ),
    ] = None
    classes: Annotated[
        tuple[str, ...],
        Option(
            "the classes to take, in this order, with commas (default: all; of Places365 the first ten)",
            names_of_classes,
            ("convert", *_CHOICE),
            example="cat,dog",
        ),
    ] = ()
    background: Annotated[
        tuple[int, int, int],
        Option("what transparent images stand on: white, black, #ff8800", colour, ("convert", *_CHOICE)),
    ] = (255, 255, 255)
    check: Annotated[bool, Option("say what the dataset would be, and write nothing", bool, ("convert",))] = False
    optimizer: Annotated[
        Optimizer | None,
        Option(
            f"{one_of(list(RULES))}, with options: sgd,momentum=0.9,dampening=0.01",
            parse_optimizer,
            _CHOICE,
            example="adam",
        ),
    ] = None
    trainable: Annotated[
        tuple[str, ...] | None,
        Option(
            "what trains: head, all, or patterns over parameter names, with commas", _trainable, _CHOICE, example="all"
        ),
    ] = None
    loss: Annotated[str | None, Option(one_of(LOSSES), str, _CHOICE, example=LOSSES[0])] = None
    label_smoothing: Annotated[
        float | None,
        Option(
            "of cross entropy, the share of each label that is spread over all classes", number, _CHOICE, example="0.1"
        ),
    ] = None
    clip_norm: Annotated[
        float | None,
        Option(
            "the largest norm of an update's gradient, as torch's clip_grad_norm_ has it",
            positive_number,
            _CHOICE,
            example="1.0",
        ),
    ] = None
    frozen_dtype: Annotated[
        str | None,
        Option(
            f"how frozen weights are stored: {', or '.join(FROZEN_DTYPES)} for half the size",
            str,
            _CHOICE,
            example=FROZEN_DTYPES[0],
        ),
    ] = None
    head: Annotated[
        str | None,
        Option("of --model transfer: logits (the backbone's 1000 outputs) or features", str, _CHOICE, example="logits"),
    ] = None
    backbone: Annotated[
        str | None,
        Option(
            "of --model transfer: another backbone, model.onnx or path/to/module.py:factory",
            str,
            _CHOICE,
            example="model.onnx",
        ),
    ] = None
    weights: Annotated[
        Path | None,
        Option(
            "start a torch module from these: a state dict, .safetensors or saved by torch.save",
            Path,
            (*_MODEL,),
            example="weights.safetensors",
        ),
    ] = None
    no_check: Annotated[
        bool, Option("train a model also where it is not what torch, or its ONNX file, computes", bool, _CHOICE)
    ] = False
    paths: Annotated[
        tuple[Path, ...],
        Option(
            "images, and folders of them",
            Path,
            ("infer", "report"),
            {"report": "results folders, or their names; several are laid side by side (default: the newest)"},
            words=True,
        ),
    ] = ()
    force: Annotated[bool, Option("remove also results that were not pulled", bool, ("clean",))] = False
    json: Annotated[bool, Option("print it as JSON", bool, ("infer", "doctor", "devices"))] = False
    networks: Annotated[
        tuple[str, ...],
        Option(
            "lenet, mobilenet, transformer, or some of them with commas (default: all)",
            listed,
            ("bench",),
            example="lenet",
        ),
    ] = ()
    repeats: Annotated[
        int, Option("interleaved rounds, of which the median is taken", positive_whole_number, ("bench",))
    ] = 10
    seconds: Annotated[float, Option("least duration of an engine's turn in a round", positive_number, ("bench",))] = (
        0.2
    )
    task: Annotated[
        tuple[str, ...],
        Option("tasks whose options to show (default: all options)", _task, ("config",), words=True),
    ] = ()
    runner: RunnerOptions = field(default_factory=RunnerOptions)

    def __post_init__(self) -> None:
        if self.runner.cycles == 0:
            raise UsageError("--cycles 0 trains nothing: give at least 1")
        engine = self.runner.engine
        # The lowered engine runs on all; the target is not loaded for it, as what that imports may be missing.
        if engine != LOWERED and engine not in self.kind.engines:
            here = ", or leave out --serial" if engine in kind_of(self.target, None).engines else ""
            raise UsageError(f"--engine {engine} does not run on {self.kind.name}: use --engine lowered{here}")

    @property
    def kind(self) -> Kind:
        """The kind of machine that is meant."""
        return kind_of(self.target, self.serial)

    @property
    def named(self) -> str:
        """The options that mean that machine."""
        return f"--target {self.target}" + (f" --serial {self.serial}" if self.serial else "")

    @property
    def seed(self) -> int:
        """Draws the initial weights."""
        return DEFAULT_SEED if self.runner.seed is None else self.runner.seed


def declared() -> dict[str, Option]:
    """Every option that some task takes, by name."""
    return options_of(Settings) | {n: o for n, o in options_of(RunnerOptions).items() if o.tasks}


def tasks_with_options() -> tuple[str, ...]:
    """Their names, those of the most options first."""
    taken = Counter(task for option in declared().values() for task in set(option.tasks))
    return tuple(sorted(taken, key=lambda task: (-taken[task], task)))


def options_for(task: str) -> dict[str, Option]:
    """The options that a task takes, by name; `config` takes all, to say what they would be."""
    options = declared()
    return {n: o for n, o in options.items() if task in o.tasks or (task == ASKING and not o.words)}


def defaults() -> dict[str, Any]:
    """What an option is that nobody gives, by name; None or empty where something else decides."""
    return {field.name: field.default for kind in (RunnerOptions, Settings) for field in fields(kind)}


def settings_of(values: Mapping[str, Any]) -> Settings:
    """The settings in which options have these values, and all others their defaults.

    Raises:
      UsageError: options contradict each other.
    """
    own = options_of(Settings)
    given = [name for name, value in values.items() if value is not False]
    if "resume" in given and (others := [name for name in given if name not in _BESIDE_RESUME]):
        raise UsageError(
            f"--resume goes on with the options that the training was started with: leave out {long_form(others[0])}, "
            "or train on from a checkpoint with `invoke train --checkpoint`"
        )
    try:
        runner = RunnerOptions(**{name: value for name, value in values.items() if name not in own})
    except OptionsError as error:
        raise UsageError(str(error)) from None
    return Settings(**{name: value for name, value in values.items() if name in own}, runner=runner)
