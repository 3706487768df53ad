"""What a user may ask for: each option of the host is declared once, here; the runner's own are beside the runner.

An option is a field of `Settings`: name, type and default are the field's, `Option` says what it means, how its text is
read and which tasks take it. Tasks, checks and the runner's command line are made of that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from device_runtime.formats.option import Option
from device_runtime.formats.option_values import number, positive_whole_number
from device_runtime.formats.options import DEFAULT_SEED, LOWERED
from device_runtime.formats.options import Options as RunnerOptions
from pipeline.errors import UsageError
from pipeline.fleet.options.declared import FleetOptions
from pipeline.optimizers import RULES, Optimizer, parse_optimizer
from pipeline.options import colour, listed, names_of_classes, one_of, positive_number
from pipeline.recipe import CATEGORIES, FROZEN_DTYPES, LOSSES
from pipeline.targets import Kind, check_options, check_task, kind_of, target_name

# Tasks that read the model, that convert the dataset, and that talk to a target.
_MODEL = ("export", "artifacts", "package", "run", "fleet", "join")
_DATA = (*_MODEL, "convert")
_CHOICE = ("package", "run", "fleet", "join")
_TARGET = ("runtime", "package", "train", "eval", "pull", "run", "infer", "bench", "doctor", "clean")
_DEVICE = ("train", "eval", "pull", "run", "infer", "status", "attach", "stop", "bench", "devices", "doctor", "clean")


def _trainable(text: str) -> tuple[str, ...]:
    """Shell patterns over parameter names."""
    return {"head": ("head.*",), "all": ("*",)}.get(text, listed(text))


def _rivals(text: str) -> tuple[str, ...]:
    """Names of engines; `none` for no rival at all."""
    return () if text == "none" else listed(text)


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
            "arm64 (a device connected by adb), x86 (this machine; with --serial such a device) or web (a browser)",
            target_name,
            (*_TARGET, "status", "attach", "stop"),
            {
                "bench": "x86 (this machine: everything), arm64 or x86 with --serial (a device: the lowered engine), "
                "web (LeNet in Chromium)",
                **dict.fromkeys(("status", "attach", "stop"), "its ABI (default: what the device says it is)"),
            },
        ),
    ] = "x86"
    model: Annotated[
        str,
        Option(
            "a model's name, model.onnx, or path/to/module.py:factory",
            str,
            (*_MODEL, "bench"),
            {"bench": "measure your own: model.onnx or path/to/module.py:factory, with its recipe, on random images"},
            apart=("bench",),
        ),
    ] = "lenet"
    build: Annotated[
        Path, Option("folder of everything that can be built again", Path, (*_DATA, *_TARGET, "report", "teach"))
    ] = Path("build")
    data: Annotated[
        Path | None,
        Option(
            "folder with the dataset; without it, a sample of real MNIST digits",
            Path,
            (*_DATA, "eval", "bench"),
            {
                "eval": "with --run: the folder with the images to evaluate it on",
                "bench": "photographs to convert and train on (with --fleet a dataset); without it, some are generated",
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
            ("run", "train", "pull", "infer", "eval", "doctor", "report", "runs", "fleet"),
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
            "adb serial of the device, when there are several; makes --target x86 a device, and web its browser",
            str,
            ("runtime", "package", *_DEVICE, "teach"),
            {"teach": "adb serial of a device: its browser opens the page"},
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
            ("train", "run", "fleet"),
            {"fleet": "go on after the last whole round of a results folder (default: of the newest fleet)"},
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
    target_column: Annotated[
        str | None,
        Option(
            "of a table, the column to learn (default: the last that is called target, label, class or y, or the last)",
            str,
            ("convert", *_CHOICE),
            example="price",
        ),
    ] = None
    group_column: Annotated[
        str | None,
        Option(
            "of a table, a column whose rows of one value are all trained on or none of them",
            str,
            ("convert", *_CHOICE),
            example="patient",
        ),
    ] = None
    categories: Annotated[
        str | None,
        Option(
            f"of a table, what columns of texts become: {' or '.join(CATEGORIES)} (default: the recipe's; one_hot)",
            str,
            ("convert", *_CHOICE),
            example="embedded",
        ),
    ] = None
    check: Annotated[bool, Option("say what the dataset would be, and write nothing", bool, ("convert",))] = False
    optimizer: Annotated[
        Optimizer | None,
        Option(
            f"{one_of(list(RULES))}, with options: sgd,momentum=0.9,dampening=0.01",
            parse_optimizer,
            (*_CHOICE, "bench"),
            {"bench": "of every network and rival: sgd,momentum=0.9 (default: the recipe's; adam of the large ones)"},
            apart=("bench",),
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
            f"{one_of(FROZEN_DTYPES)}: how frozen weights are stored, and in int8 a frozen backbone computed",
            str,
            _CHOICE,
            example=FROZEN_DTYPES[0],
        ),
    ] = None
    recompute: Annotated[
        bool,
        Option("compute activations again in the backward pass instead of keeping them", bool, (*_CHOICE, "bench")),
    ] = False
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
            "of lenet, mobilenet, transformer (default: these), keyword, lstm, resnet18, mobilenet_v2, "
            "mobilenet_v3_small, efficientnet_b0, convnext_atto, convnext_tiny, vit_tiny some with commas, or all",
            listed,
            ("bench",),
            example="lenet",
        ),
    ] = ()
    image_size: Annotated[
        int | None,
        Option(
            "pixels of each side of the images (default: the recipe's; 96 of the large networks)",
            positive_whole_number,
            ("bench",),
            example="96",
        ),
    ] = None
    rivals: Annotated[
        tuple[str, ...] | None,
        Option(
            "of onnxruntime-training, torch-eager, torch-compile (default: these; of large networks and --model not "
            "the last), executorch, jax some with commas, or none",
            _rivals,
            ("bench",),
            example="torch-eager",
        ),
    ] = None
    repeats: Annotated[
        int,
        Option("rounds, interleaved or of a fleet, of which the median is taken", positive_whole_number, ("bench",)),
    ] = 10
    seconds: Annotated[float, Option("least duration of an engine's turn in a round", positive_number, ("bench",))] = (
        0.2
    )
    task: Annotated[
        tuple[str, ...],
        Option("tasks whose options to show (default: all options)", str, ("config",), words=True),
    ] = ()
    runner: RunnerOptions = field(default_factory=RunnerOptions)
    fleet: FleetOptions = field(default_factory=FleetOptions)

    def __post_init__(self) -> None:
        if self.runner.cycles == 0:
            raise UsageError("--cycles 0 trains nothing: give at least 1")
        engine = self.runner.engine
        # The lowered engine runs on all; the target is not loaded for it, as what that imports may be missing.
        if engine != LOWERED and engine not in self.kind.engines:
            here = ", or leave out --serial" if engine in kind_of(self.target, None).engines else ""
            raise UsageError(f"--engine {engine} does not run on {self.kind.name}: use --engine lowered{here}")
        check_options(self.target, self.runner)
        self._check_model()
        if self.run is not None:
            check_task("infer", self.target)
        if self.run is not None and (self.checkpoint is not None or engine != LOWERED):
            other = "--checkpoint" if self.checkpoint is not None else "--engine"
            raise UsageError(f"--run evaluates the model that the run ended with: leave out {other}")

    def _check_model(self) -> None:
        if (self.head or self.backbone) and self.model != "transfer":
            raise UsageError(f"--head and --backbone belong to --model transfer, not to {self.model}")
        if self.head and self.backbone:
            raise UsageError(
                "--head chooses what of EfficientNet-Lite0 the head stands on: leave it out with --backbone"
            )
        if self.weights and (self.backbone or self.model).endswith(".onnx"):
            raise UsageError(
                f"--weights {self.weights}: an ONNX model has its own weights; leave it out, or give a torch module"
            )
        if self.label_smoothing and self.loss not in (None, "cross_entropy"):
            raise UsageError(f"--label-smoothing belongs to --loss cross_entropy, not to {self.loss}: leave it out")

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
