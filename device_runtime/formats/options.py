"""The runner's options: each is declared once, here, for the runner's command line and for the tasks of the host."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, NoReturn

from device_runtime.formats.option import Option, long_form, options_of
from device_runtime.formats.option_values import (
    augmentations,
    celsius,
    fraction,
    loop_file,
    percent,
    positive_whole_number,
    proximal_weight,
    rate,
    span_of_day,
    thread_count,
    torch_seed,
    whole_number,
)

SCHEDULES = ("constant", "step", "cosine")
LOWERED = "lowered"
ENGINES = (LOWERED, "reference")

DEFAULT_SEED = 1


class OptionsError(Exception):
    """An option is unknown, or its value cannot be meant; the message names it."""


_TRAINING = ("train", "run")
# What a device of a fleet is told of its training, too.
_FLEET = (*_TRAINING, "fleet")
_EVERYWHERE = ("train", "eval", "run")
_ALL = ("train.sh", "eval.sh", "eval_untrained.sh")
_DRAWS = "draws the initial weights and the order of the images (default: 1)"


@dataclass(frozen=True)
class Options:
    """What the user asked for; None leaves the choice to the training of the checkpoint, or else to the model's recipe.

    Raises:
      OptionsError: two of them contradict each other.
    """

    file: Annotated[Path, Option("model folder or checkpoint (.safetensors)", Path, letter="f")] = Path("model")
    data: Annotated[Path, Option("dataset folder", Path, letter="d")] = Path("dataset")
    output: Annotated[Path, Option("takes checkpoints and metrics", Path)] = Path("output")
    cycles: Annotated[
        int | None,
        Option("training steps (default: the model's recipe)", whole_number, _TRAINING, letter="c", example="300"),
    ] = None
    epochs: Annotated[
        int | None,
        Option("passes over the training images, instead of --cycles", positive_whole_number, _TRAINING, example="3"),
    ] = None
    learning_rate: Annotated[
        float | None, Option("learning rate (default: the model's recipe)", rate, _FLEET, example="0.001")
    ] = None
    batch_size: Annotated[
        int | None,
        Option(
            "images of one step (default: the model's recipe)",
            positive_whole_number,
            (*_FLEET, "bench"),
            {"bench": "images of one step (default: the recipe's; 16 of the large networks)"},
            apart=("bench",),
            example="32",
        ),
    ] = None
    accumulate: Annotated[
        int | None,
        Option("batches whose mean gradient makes one step (default: 1)", positive_whole_number, _FLEET, example="1"),
    ] = None
    sink_size: Annotated[
        int | None,
        Option("steps that the runtime makes in one call (default: 1)", positive_whole_number, _FLEET, example="1"),
    ] = None
    save_every: Annotated[
        int | None,
        Option(
            "save a checkpoint every so many steps (default: every few seconds one in the last one's place)",
            whole_number,
            _TRAINING,
            letter="s",
            example="100",
        ),
    ] = None
    keep: Annotated[
        int | None,
        Option(
            "checkpoints to keep, the newest and the best one (default: all)",
            positive_whole_number,
            _TRAINING,
            example="5",
        ),
    ] = None
    target_accuracy: Annotated[
        float | None, Option("stop at this accuracy on the test images", fraction, _TRAINING, example="0.95")
    ] = None
    schedule: Annotated[
        str | None,
        Option(
            "learning rate over time: constant (default), step or cosine",
            str,
            _TRAINING,
            choices=SCHEDULES,
            example="constant",
        ),
    ] = None
    warmup: Annotated[int | None, Option("steps over which the learning rate rises from 0", whole_number)] = None
    evaluate_every: Annotated[
        int | None,
        Option(
            "evaluate the test images every so many steps; with --patience or --best the validation images, if any",
            whole_number,
            _TRAINING,
            example="100",
        ),
    ] = None
    patience: Annotated[
        int | None,
        Option(
            "stop when so many evaluations in a row were no better than the best before (0: never, the default)",
            whole_number,
            _TRAINING,
            example="5",
        ),
    ] = None
    best: Annotated[
        bool, Option("end with the checkpoint that was best in evaluations, not with the last one", bool, _TRAINING)
    ] = False
    augment: Annotated[
        tuple[str, ...] | None,
        Option(
            "change training images: flip, crop, or sounds: shift, noise; both with a comma, or none",
            augmentations,
            _FLEET,
            example="none",
        ),
    ] = None
    seed: Annotated[
        int | None,
        Option(
            "draws the order of the images (default: that of the checkpoint, or 1)",
            torch_seed,
            ("export", "artifacts", "package", *_FLEET, "join"),
            dict.fromkeys(("export", "artifacts", "package", "run", "fleet", "join"), _DRAWS),
            example="1",
        ),
    ] = None
    loop: Annotated[
        str | None,
        Option(
            "a Python file whose `def loop(run)` trains on the target, in place of the built-in loop; or none",
            loop_file,
            ("package", *_TRAINING),
            {"package": "a Python file with a loop of your own, for `train --loop`; or none"},
            example="none",
        ),
    ] = None
    verbose: Annotated[
        bool,
        Option(
            "print sizes and the inputs and outputs of every node",
            bool,
            ("convert", "eval", *_TRAINING),
            {
                "convert": "print a table with the images of each class",
                "eval": "with --run: print a table with the accuracy of each class",
            },
            apart=("eval",),
            letter="v",
        ),
    ] = False
    threads: Annotated[
        int | None,
        Option(
            "threads of the runtime on the target (default: the number that is fastest there, at most 4)",
            thread_count,
            (*_EVERYWHERE, "infer", "fleet", "join"),
            {"infer": "threads of the runtime on the target (default: 1)"},
            example="1",
            scripts=_ALL,
        ),
    ] = None
    engine: Annotated[
        str,
        Option(
            "lowered (runs everywhere) or reference (onnxruntime-training, x86 only)",
            str,
            (*_EVERYWHERE, "package"),
            choices=ENGINES,
            scripts=_ALL,
        ),
    ] = LOWERED
    no_cache: Annotated[
        bool, Option("pass every image through a frozen backbone each time", bool, ("run",), scripts=_ALL)
    ] = False
    resume: Annotated[
        bool, Option("go on with the training in the output folder, to its end, with its options", bool)
    ] = False
    while_charging: Annotated[
        bool, Option("pause while the device is not plugged in; implies --stay-awake", bool, _FLEET)
    ] = False
    between: Annotated[
        str | None,
        Option(
            "pause outside these hours of the device's local time: 22:00-06:00",
            span_of_day,
            _FLEET,
            example="22:00-06:00",
        ),
    ] = None
    min_battery: Annotated[
        int | None, Option("pause while the battery has less than so many percent", percent, _FLEET, example="30")
    ] = None
    max_battery_temp: Annotated[
        float | None, Option("pause while the battery is hotter than so many °C", celsius, _FLEET, example="40")
    ] = None
    # job.sh, which outlives the runner, does it: here it is one of the options that train.sh takes.
    stay_awake: Annotated[
        bool, Option("keep a plugged-in Android device from sleeping while its job runs", bool, _FLEET)
    ] = False

    # A fleet's alone: nothing but the parameters travels back of a round.
    round_dtype: Annotated[
        str | None,
        Option(
            "evaluate the given model first, and write what a round of a fleet gives back, in this type",
            str,
            choices=("float32", "float16"),
        ),
    ] = None

    # A fleet's, too: what its devices say of a model is of their test images, by which it is weighted.
    on_test: Annotated[
        bool,
        Option("evaluate on the test images at last, whatever there is to validate with", bool, scripts=("eval.sh",)),
    ] = False

    # A fleet's, too, and of a model that is packaged for fedprox.
    proximal_mu: Annotated[
        float | None, Option("weight of FedProx's term, which draws to what the training started from", proximal_weight)
    ] = None

    # The host gives it where it shows the training on a terminal.
    progress: Annotated[bool, Option("print now and then, for a program, a line that says how far it is", bool)] = False

    def __post_init__(self) -> None:
        if self.epochs is not None and self.cycles is not None:
            raise OptionsError("give --cycles or --epochs, not both")
        accumulate, sink_size = self.accumulate or 1, self.sink_size or 1
        if accumulate > 1 and sink_size > 1:
            raise OptionsError("give --accumulate or --sink-size, not both")
        if self.engine == "reference" and (self.round_dtype or self.proximal_mu):
            raise OptionsError("a fleet trains with the lowered engine: leave out --engine reference")
        if self.engine == "reference" and self.loop:
            raise OptionsError("--loop trains with the lowered engine: leave out --engine reference")
        if self.resume and self.round_dtype:
            raise OptionsError("--round-dtype: a round begins with the model it is given: leave out --resume")
        if self.engine == "reference" and max(accumulate, sink_size) > 1:
            raise OptionsError("--engine reference takes neither --accumulate nor --sink-size: use --engine lowered")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Hands the message over, where argparse prints it below its usage and ends the program."""
        raise OptionsError(message.removeprefix("argument "))


def parse(arguments: Sequence[str], package: Path) -> Options:
    """Reads the runner's command line.

    Args:
      arguments: without the program's name.
      package: folder whose `output/` takes the results by default.

    Raises:
      OptionsError: it is wrong.
    """
    parser = _parser()
    parser.set_defaults(output=package / "output")
    return Options(**vars(parser.parse_args(arguments)))


def words(options: Options, wanted: Callable[[str, Option], bool]) -> list[str]:
    """The command line that gives the options that are wanted, as far as they are not at their defaults."""
    default, given = asdict(Options()), asdict(options)
    chosen: list[str] = []
    for name, option in options_of(Options).items():
        value = given[name]
        if wanted(name, option) and value != default[name]:
            text = ",".join(value) or "none" if isinstance(value, tuple) else str(value)
            chosen += [long_form(name), *([] if value is True else [text])]
    return chosen


def _parser() -> _Parser:
    parser = _Parser(prog="device_runtime", description="Trains and evaluates on this device.")
    defaults = {declared.name: declared.default for declared in fields(Options)}
    for name, option in options_of(Options).items():
        # The two that every script gives have a letter alone.
        letter_alone = name in ("file", "data")
        flags = [*([] if letter_alone else [long_form(name)]), *([f"-{option.letter}"] if option.letter else [])]
        if option.read is bool:
            parser.add_argument(*flags, dest=name, action="store_true", help=option.help)
            continue
        parser.add_argument(
            *flags,
            dest=name,
            type=_typed(option.read),
            choices=option.choices or None,
            default=defaults[name],
            required=letter_alone,
            metavar=None if option.choices else name.upper(),
            help=option.help,
        )
    return parser


def _typed(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """A reader whose words argparse passes on."""

    def typed(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not {error}") from error

    return typed
