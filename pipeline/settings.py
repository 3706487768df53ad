"""What a user may ask for: each option of the host is declared once, here; the runner's own are beside the runner.

An option is a field of `Settings`: name, type and default are the field's, `Option` says what it means, how its text is
read and which tasks take it. Tasks, checks and the runner's command line are made of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from device_runtime.formats.option import Option, long_form, number, options_of, positive_whole_number
from device_runtime.formats.options import DEFAULT_SEED, LOWERED, OptionsError, parse_of_task
from device_runtime.formats.options import Options as RunnerOptions
from pipeline.errors import UsageError
from pipeline.optimizers import RULES, Optimizer, parse_optimizer
from pipeline.options import colour, listed, names_of_classes, one_of, positive_number, read_option
from pipeline.recipe import FROZEN_DTYPES, LOSSES
from pipeline.targets import Kind, kind_of, target_name

# Tasks that read the model, that convert the dataset, and that talk to a target.
_MODEL = ("export", "artifacts", "package", "run")
_DATA = (*_MODEL, "convert")
_CHOICE = ("package", "run")
_TARGET = ("runtime", "package", "train", "eval", "pull", "run", "infer", "bench", "doctor", "clean")
_DEVICE = ("train", "eval", "pull", "run", "infer", "status", "attach", "stop", "bench", "devices", "doctor", "clean")


# What Python alone reads.
_ANY_BYTES = ("data",)


def _is_utf8(text: str) -> bool:
    """Python keeps other bytes of a name as halves of characters."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


# What may be said of a training that goes on: where it is, and how it is shown.
_BESIDE_RESUME = ("resume", "target", "serial", "build", "runs", "verbose", "stay_awake", "tensorboard")


def _trainable(text: str) -> tuple[str, ...]:
    """Shell patterns over parameter names."""
    return {"head": ("head.*",), "all": ("*",)}.get(text, listed(text))


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
        ),
    ] = None
    checkpoint: Annotated[
        str | None,
        Option(
            "evaluate this one, not the last: its file; on a device, its name in the output folder there",
            str,
            ("train", "eval"),
            {"train": "go on from this one: its file; on a device, its name in the output folder there"},
        ),
    ] = None
    resume: Annotated[
        str | None,
        Option(
            "go on with the interrupted training, with its own options: on the target, or that of a results folder",
            str,
            ("train", "run"),
            alone=True,
        ),
    ] = None
    classes: Annotated[
        tuple[str, ...],
        Option(
            "the classes to take, in this order, with commas (default: all; of Places365 the first ten)",
            names_of_classes,
            ("convert", *_CHOICE),
        ),
    ] = ()
    background: Annotated[
        tuple[int, int, int],
        Option("what transparent images stand on: white, black, #ff8800", colour, ("convert", *_CHOICE)),
    ] = (255, 255, 255)
    check: Annotated[bool, Option("say what the dataset would be, and write nothing", bool, ("convert",))] = False
    optimizer: Annotated[
        Optimizer | None,
        Option(f"{one_of(list(RULES))}, with options: sgd,momentum=0.9,dampening=0.01", parse_optimizer, _CHOICE),
    ] = None
    trainable: Annotated[
        tuple[str, ...] | None,
        Option("what trains: head, all, or patterns over parameter names, with commas", _trainable, _CHOICE),
    ] = None
    loss: Annotated[str | None, Option(one_of(LOSSES), str, _CHOICE)] = None
    label_smoothing: Annotated[
        float | None,
        Option("of cross entropy, the share of each label that is spread over all classes", number, _CHOICE),
    ] = None
    clip_norm: Annotated[
        float | None,
        Option("the largest norm of an update's gradient, as torch's clip_grad_norm_ has it", positive_number, _CHOICE),
    ] = None
    frozen_dtype: Annotated[
        str | None,
        Option(f"how frozen weights are stored: {', or '.join(FROZEN_DTYPES)} for half the size", str, _CHOICE),
    ] = None
    head: Annotated[
        str | None, Option("of --model transfer: logits (the backbone's 1000 outputs) or features", str, _CHOICE)
    ] = None
    backbone: Annotated[
        str | None,
        Option("of --model transfer: another backbone, model.onnx or path/to/module.py:factory", str, _CHOICE),
    ] = None
    weights: Annotated[
        Path | None,
        Option("start a torch module from these: a state dict, .safetensors or saved by torch.save", Path, (*_MODEL,)),
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
        Option("lenet, mobilenet, transformer, or some of them with commas (default: all)", listed, ("bench",)),
    ] = ()
    repeats: Annotated[
        int, Option("interleaved rounds, of which the median is taken", positive_whole_number, ("bench",))
    ] = 10
    seconds: Annotated[float, Option("least duration of an engine's turn in a round", positive_number, ("bench",))] = (
        0.2
    )
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


def options_for(task: str) -> dict[str, Option]:
    """The options that a task takes, by name."""
    declared = options_of(Settings) | {n: o for n, o in options_of(RunnerOptions).items() if o.tasks}
    return {name: option for name, option in declared.items() if task in option.tasks}


def read_settings(typed: Mapping[str, str | bool | list[str] | None]) -> Settings:
    """The settings that say what the user typed: texts, switches, and None for what was not given.

    Raises:
      UsageError: a value cannot be meant, or options contradict each other.
    """
    own, runners = options_of(Settings), options_of(RunnerOptions)
    values, words = dict[str, Any](), list[str]()
    defaults = {declared.name: declared.default for declared in fields(Settings)}
    given = [name for name, value in typed.items() if value not in (None, False, [])]
    if "resume" in given and (others := [name for name in given if name not in _BESIDE_RESUME]):
        raise UsageError(
            f"--resume goes on with the options that the training was started with: leave out {long_form(others[0])}, "
            "or train on from a checkpoint with `invoke train --checkpoint`"
        )
    for name, value in typed.items():
        # An empty text says "none" where that can be meant.
        if value is None or value is False or (value == "" and defaults.get(name) in (None, ())):
            continue
        if isinstance(value, list):
            values[name] = tuple(read_option(name, own[name], word) for word in value)
            continue
        if isinstance(value, str) and name not in _ANY_BYTES and not _is_utf8(value):
            raise UsageError(f"{long_form(name)} {value}: that name is not UTF-8, which libraries here need: rename it")
        if name in own:
            # A switch, or an option that stands alone.
            flag = "" if own[name].alone else True
            values[name] = flag if value is True else read_option(name, own[name], str(value))
        else:
            if runners[name].host:
                read_option(name, runners[name], str(value))
            words += [long_form(name), *([] if value is True else [str(value)])]
    try:
        return Settings(**values, runner=parse_of_task(words))
    except OptionsError as error:
        raise UsageError(str(error)) from None
