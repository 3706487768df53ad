"""One run of the runner: open everything, train if asked to, evaluate, record."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

from device_runtime.batches import Batches
from device_runtime.conditions import Conditions, Pace, Watch
from device_runtime.console import final_line, say
from device_runtime.engines.base import Engine
from device_runtime.evaluation import evaluate
from device_runtime.formats.checkpoint import Checkpoint, read_checkpoint, untrained_name
from device_runtime.formats.dataset import Dataset, load_dataset
from device_runtime.formats.errors import FormatError
from device_runtime.formats.manifest import FILE_NAME as MANIFEST
from device_runtime.formats.manifest import check_sizes, read_manifest
from device_runtime.formats.model import Model, read_model
from device_runtime.formats.options import DEFAULT_SEED, Options
from device_runtime.inputs import Inputs, open_inputs
from device_runtime.metrics import Metrics, peak_memory_bytes
from device_runtime.power import Device
from device_runtime.training import Plan, Trainer


def run(
    options: Options,
    package: Path,
    device: Device = Device(),  # noqa: B008 - never changes
    pace: Pace = Pace(),  # noqa: B008 - frozen
) -> None:
    """Does what the options ask for.

    Args:
      options: the command line.
      package: the package's folder.
      device: what is asked about battery and state.
      pace: how often it is asked.

    Raises:
      FormatError: package, model, checkpoint or dataset are damaged or do not fit together.
    """
    started = time.perf_counter()
    if (package / MANIFEST).exists():
        check_sizes(package, read_manifest(package / MANIFEST))
    folder = options.file if options.file.is_dir() else package / "model"
    model = read_model(folder)
    start = read_checkpoint(folder / untrained_name(model) if options.file.is_dir() else options.file, model)
    dataset = load_dataset(options.data)
    _check_fit(model, dataset, options)
    plan = make_plan(options, model, start, len(dataset.splits["train"]))
    training = plan.last >= plan.first
    inputs = open_inputs(options, folder, model, dataset, package, plan.seed, training)
    engine = _engine(options, folder, model, start, plan.batch_size)
    options.output.mkdir(parents=True, exist_ok=True)
    conditions = Conditions.of(options)
    if training:
        _check_states(model, start, options)
        conditions.check(device)
    name = "metrics.jsonl" if training else f"evaluation_{start.step}.jsonl"
    if not (training and start.step):
        (options.output / name).write_bytes(b"")
    with Metrics(options.output / name) as metrics:
        metrics.record("start", model=model.name, digest=model.digest, engine=options.engine, **_record(plan, options))
        if options.verbose:
            from device_runtime.verbose import describe_run

            describe_run(folder, model, inputs.splits, start, plan.batch_size, plan.seed)
        watch = Watch(conditions, metrics, device, pace)
        step = _train(engine, model, inputs, plan, options.output, metrics, watch) if training else start.step
        _final_evaluation(engine, inputs, plan.batch_size, step, metrics)
        seconds = round(time.perf_counter() - started, 3)
        metrics.record("end", step=step, peak_memory_bytes=peak_memory_bytes(), seconds=seconds)


def make_plan(options: Options, model: Model, start: Checkpoint, images: int) -> Plan:
    """The recipe's defaults, overridden by the options.

    Raises:
      FormatError: the training split is smaller than a batch.
    """
    recipe = model.recipe
    batch_size = options.batch_size or recipe.batch_size
    seed = options.seed if options.seed is not None else (start.seed if start.step else DEFAULT_SEED)
    steps_per_epoch = Batches(images, batch_size * options.accumulate, seed).steps_per_epoch
    cycles = recipe.cycles if options.cycles is None else options.cycles
    if options.epochs is not None:
        cycles = options.epochs * steps_per_epoch
    if cycles and not steps_per_epoch:
        size = batch_size * options.accumulate
        raise FormatError(f"the training split has {images} images, a step takes {size}: give a smaller --batch-size")
    target = options.target_accuracy or recipe.target_accuracy
    evaluate_every = recipe.evaluate_every if options.evaluate_every is None else options.evaluate_every
    if target and not evaluate_every and options.epochs is None:
        evaluate_every = recipe.report_every
    return Plan(
        first=start.step + 1,
        last=start.step + cycles,
        batch_size=batch_size,
        accumulate=options.accumulate,
        sink_size=options.sink_size,
        seed=seed,
        learning_rate=recipe.learning_rate if options.learning_rate is None else options.learning_rate,
        schedule=options.schedule,
        warmup=options.warmup,
        report_every=0 if options.epochs is not None else recipe.report_every,
        save_every=options.save_every,
        evaluate_every=0 if options.epochs is not None else evaluate_every,
        target_accuracy=target,
        by_epochs=options.epochs is not None,
    )


def _train(
    engine: Engine, model: Model, inputs: Inputs, plan: Plan, output: Path, metrics: Metrics, watch: Watch
) -> int:
    trainer = Trainer(engine, model, inputs.train, inputs.splits["test"], plan, output, metrics, watch)
    step = trainer.run()
    trainer.save(step)
    return step


def _final_evaluation(engine: Engine, inputs: Inputs, batch_size: int, step: int, metrics: Metrics) -> None:
    evaluation = evaluate(engine, inputs.splits[inputs.final], batch_size)
    say(final_line(inputs.final, evaluation.accuracy))
    evaluation.record(metrics, step, inputs.final)


def _engine(options: Options, folder: Path, model: Model, start: Checkpoint, batch_size: int) -> Engine:
    # Each engine is imported when it is used: the reference's packages do not exist on a device.
    if options.engine == "reference":
        try:
            from device_runtime.engines.reference import ReferenceEngine
        except ModuleNotFoundError as error:
            raise FormatError("--engine reference runs on x86 alone: use --engine lowered") from error
        return ReferenceEngine(folder / "reference", model, start, options.threads)
    from device_runtime.engines.lowered import LoweredEngine

    return LoweredEngine(folder, model, start, batch_size, options.threads)


def _check_fit(model: Model, dataset: Dataset, options: Options) -> None:
    description = dataset.description
    sizes = (description.height, description.width, description.channels)
    wanted = (model.input.height, model.input.width, model.input.channels)
    problems: list[str] = []
    if sizes != wanted:
        problems.append(f"its images are {sizes} (height, width, channels), the model takes {wanted}")
    if len(dataset.classes) > model.classes:
        problems.append(f"it has {len(dataset.classes)} classes, the model {model.classes}")
    missing = [split for split in ("train", "test") if not len(dataset.splits.get(split, ()))]
    if missing:
        problems.append(f"it has no images in {' and '.join(missing)}")
    if problems:
        raise FormatError(f"the dataset {options.data} does not fit {model.name}: {'; '.join(problems)}; package again")


def _check_states(model: Model, start: Checkpoint, options: Options) -> None:
    """Without its moments an optimizer would go on with steps several times too large and say nothing."""
    if model.buffers and options.engine == "reference":
        raise FormatError("--engine reference keeps no running statistics of batch normalisation: use --engine lowered")
    if start.step and options.engine == "reference":
        raise FormatError("--engine reference cannot go on from a trained checkpoint: start from the untrained one")
    missing = set(model.optimizer.states) - set(start.states)
    if start.step and missing:
        raise FormatError(
            f"{options.file} has no {' and '.join(sorted(missing))} of the optimizer {model.optimizer.name}: "
            "it can be evaluated; to go on, give a checkpoint that this package's lowered engine saved"
        )


def _record(plan: Plan, options: Options) -> dict[str, str | int | float | None]:
    return {**asdict(plan), "augment": ",".join(options.augment)}
