"""How long and how to train: what the user asks for, or else what the checkpoint's training did, or the recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any, get_type_hints

from device_runtime.batches import Batches
from device_runtime.formats.checkpoint import Checkpoint
from device_runtime.formats.errors import FormatError
from device_runtime.formats.model import Model
from device_runtime.formats.option import options_of
from device_runtime.formats.option_values import NO_LOOP
from device_runtime.formats.options import DEFAULT_SEED, Options
from device_runtime.formats.records import LARGEST, typed
from device_runtime.schedules import learning_rate_at


@dataclass(frozen=True)
class Plan:
    """How long and how to train; counts are in steps.

    Attributes:
      first, last: numbers of the first and the last update, from 1.
      report_every: 0 for no reports within an epoch.
      save_every, evaluate_every: 0 for never; `save_every` None: whenever some seconds have passed, only the last kept.
      patience: the training stops when so many evaluations in a row were no better than the best; 0 for never.
      best: it ends with the checkpoint that was best.
      keep: of the saved checkpoints so many, and the best one; None for all.
      accumulate: batches whose mean gradient makes one update.
      sink_size: updates of one call of the engine, as far as nothing is reported or saved between them.
      schedule_first, schedule_last: the updates over which the learning rate changes.
      warmup: updates from `schedule_first` on over which it rises.
      by_epochs: print a line per epoch.
      steps_per_epoch: updates in which every training image is seen once.
      loop: file name of the user's own loop in the package, empty for the built-in one.
      proximal_mu: weight of the term that draws to what the training started from; 0 for none.
      while_charging, between, min_battery, max_battery_temp: when it may run, as in the runner's options.
    """

    first: int
    last: int
    batch_size: int
    accumulate: int
    sink_size: int
    seed: int
    learning_rate: float
    schedule: str
    schedule_first: int
    schedule_last: int
    warmup: int
    report_every: int
    save_every: int | None
    keep: int | None
    evaluate_every: int
    patience: int
    best: bool
    target_accuracy: float | None
    by_epochs: bool
    steps_per_epoch: int
    loop: str
    augment: tuple[str, ...]
    threads: int
    no_cache: bool
    proximal_mu: float
    while_charging: bool
    between: str | None
    min_battery: int | None
    max_battery_temp: float | None

    def rate_at(self, step: int) -> float:
        """The learning rate of update `step`."""
        return learning_rate_at(
            step - self.schedule_first + 1,
            base=self.learning_rate,
            schedule=self.schedule,
            cycles=self.schedule_last - self.schedule_first + 1,
            warmup=self.warmup,
        )

    def record(self) -> dict[str, Any]:
        """As it is recorded in metrics and checkpoints."""
        return {**asdict(self), "augment": ",".join(self.augment)}


def make_plan(options: Options, model: Model, start: Checkpoint, images: int) -> Plan:
    """What the options say; what they leave open is as in the training that `start` is of, or as in the recipe.

    Raises:
      FormatError: the training split is smaller than a batch, or what is asked for contradicts the training before.
    """
    recipe, before = model.recipe, _planned(start)

    def chosen(name: str, default: Any) -> Any:
        given = getattr(options, name)
        return before.get(name, default) if given is None else given

    batch_size, accumulate = chosen("batch_size", recipe.batch_size), chosen("accumulate", 1)
    seed, sink_size = chosen("seed", DEFAULT_SEED), chosen("sink_size", 1)
    if accumulate > 1 and sink_size > 1:
        raise FormatError("the training before had the other of --accumulate and --sink-size: give a 1 for it, too")
    steps_per_epoch = Batches(images, batch_size * accumulate, seed).steps_per_epoch
    last = _last(options, recipe.cycles, start, steps_per_epoch)
    if last > start.step and not steps_per_epoch:
        size = batch_size * accumulate
        raise FormatError(f"the training split has {images} images, a step takes {size}: give a smaller --batch-size")
    proximal_mu = chosen("proximal_mu", 0.0)
    if last > start.step and proximal_mu and not model.proximal:
        raise FormatError(
            f"--proximal-mu {proximal_mu:g}: this model has no proximal term: give 0, or package it with "
            "invoke fleet --strategy fedprox"
        )
    by_epochs = options.epochs is not None or (options.cycles is None and bool(before.get("by_epochs")))
    patience, best = chosen("patience", 0), options.best or bool(before.get("best"))
    target = options.target_accuracy or before.get("target_accuracy") or recipe.target_accuracy
    # An epoch ends with an evaluation; others are made only where they are asked for.
    evaluate_every = chosen("evaluate_every", 0 if by_epochs else recipe.evaluate_every)
    if (target or patience or best) and not evaluate_every and not by_epochs:
        evaluate_every = recipe.report_every
    if last > start.step and (patience or best) and not evaluate_every and not by_epochs:
        raise FormatError("--patience and --best go by evaluations, and there would be none: give --evaluate-every")
    return Plan(
        first=start.step + 1,
        last=last,
        batch_size=batch_size,
        accumulate=accumulate,
        sink_size=sink_size,
        seed=seed,
        learning_rate=chosen("learning_rate", recipe.learning_rate),
        **_schedule(options, start, last),
        report_every=0 if by_epochs else recipe.report_every,
        save_every=chosen("save_every", None),
        keep=chosen("keep", None),
        evaluate_every=evaluate_every,
        patience=patience,
        best=best,
        target_accuracy=target,
        by_epochs=by_epochs,
        steps_per_epoch=steps_per_epoch,
        loop=_loop(options, before),
        augment=_augmentations(options, before),
        threads=chosen("threads", 1),
        no_cache=options.no_cache or bool(before.get("no_cache")),
        proximal_mu=proximal_mu,
        while_charging=options.while_charging or bool(before.get("while_charging")),
        between=chosen("between", None),
        min_battery=chosen("min_battery", None),
        max_battery_temp=chosen("max_battery_temp", None),
    )


def _planned(start: Checkpoint) -> Mapping[str, Any]:
    """The plan of the training that a checkpoint is of, empty for none: a file may say anything.

    Raises:
      FormatError: it is not what options could have said.
    """
    kinds, options, plan = {**get_type_hints(Plan), "augment": str}, options_of(Options), start.run.plan
    try:
        if plan and not {"schedule", "schedule_first", "schedule_last", "warmup"} <= plan.keys():
            raise ValueError("it has no schedule")
        for name, value in plan.items():
            typed(kinds[name], value, name)
            option = options.get(name)
            if option and option.read is not bool and value not in (None, ""):
                read = option.read(str(value))
                if option.choices and read not in option.choices:
                    raise ValueError(f"{name} is unknown")
        if any(abs(value) > LARGEST // 2 for value in plan.values() if isinstance(value, int)):
            raise ValueError("a number is beyond any")
    except (ValueError, KeyError) as error:
        raise FormatError(f"the checkpoint's plan cannot be meant ({error}): go on from another one") from error
    return plan


def schedule_is_over(plan: Plan) -> bool:
    """Whether the first update is beyond a schedule that the training before had."""
    return plan.schedule != "constant" and plan.first > plan.schedule_last


def _last(options: Options, cycles: int, start: Checkpoint, steps_per_epoch: int) -> int:
    planned = int(start.run.plan.get("last", 0))
    if options.resume:
        return max(planned, start.step)
    if options.epochs is not None:
        return start.step + options.epochs * steps_per_epoch
    if options.cycles is not None:
        return start.step + options.cycles
    return planned if planned > start.step else start.step + cycles


def _schedule(options: Options, start: Checkpoint, last: int) -> dict[str, Any]:
    """The schedule of the training before goes on; one that is asked for begins here."""
    before = start.run.plan
    if options.schedule is None and options.warmup is None and before:
        return {name: before[name] for name in ("schedule", "schedule_first", "schedule_last", "warmup")}
    schedule, first = options.schedule or before.get("schedule", "constant"), start.step + 1
    return {"schedule": schedule, "schedule_first": first, "schedule_last": last, "warmup": options.warmup or 0}


def _loop(options: Options, before: Mapping[str, Any]) -> str:
    """The name of the loop's file: where it was on the host is of no matter here."""
    chosen = str(before.get("loop", "")) if options.loop is None else options.loop
    return "" if chosen == NO_LOOP else PurePath(chosen).name


def _augmentations(options: Options, before: Mapping[str, Any]) -> tuple[str, ...]:
    if options.augment is not None:
        return options.augment
    return tuple(kind for kind in str(before.get("augment", "")).split(",") if kind)
