"""One run of the runner: open everything, train if asked to, evaluate, record."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from device_runtime.base_memory import base_memory_bytes
from device_runtime.conditions import Conditions, Pace, Watch
from device_runtime.console import each_line, say, score_on
from device_runtime.engines.base import Engine, Proximal
from device_runtime.evaluation import evaluate
from device_runtime.formats.checkpoint import Checkpoint, Run, read_checkpoint, untrained_name
from device_runtime.formats.dataset import Dataset, load_dataset
from device_runtime.formats.errors import FormatError
from device_runtime.formats.manifest import FILE_NAME as MANIFEST
from device_runtime.formats.manifest import check_files, package_digest, read_manifest
from device_runtime.formats.metrics import FILE_NAME as METRICS
from device_runtime.formats.metrics import Record, last_start
from device_runtime.formats.model import Model, read_model
from device_runtime.formats.options import Options
from device_runtime.formats.predictions import Heading, write_predictions
from device_runtime.formats.sample import CLASS, Target
from device_runtime.formats.standing import Standing
from device_runtime.formats.whole_file import remove_leftovers
from device_runtime.inputs import open_inputs, unfit_changes
from device_runtime.keeping import Keeping
from device_runtime.live import Live
from device_runtime.loop import TrainingRun
from device_runtime.metrics import Metrics, peak_memory_bytes, replace_records
from device_runtime.output import one_training_in, set_aside
from device_runtime.own_loop import load_loop
from device_runtime.plan import Plan, make_plan, schedule_is_over
from device_runtime.power import Device
from device_runtime.resume import began_with, interrupted, kept_records, progress_of, seconds_of
from device_runtime.rounds import losses_from, round_result, tested, write_round_of
from device_runtime.saved import Saved
from device_runtime.scores import SCORES
from device_runtime.threads import Threads, with_threads
from device_runtime.training import Trainer


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
    started, base = time.perf_counter(), base_memory_bytes()
    digest = ""
    if (package / MANIFEST).exists():
        manifest = read_manifest(package / MANIFEST)
        check_files(package, manifest)
        digest = package_digest(manifest)
    folder = options.file if options.file.is_dir() else package / "model"
    model = read_model(folder)
    dataset = load_dataset(options.data)
    _check_fit(model, dataset, options)
    options.output.mkdir(parents=True, exist_ok=True)
    with nullcontext() if options.cycles == 0 else one_training_in(options.output):
        start, file = _start(options, folder, model, digest)
        plan = make_plan(options, model, start, len(dataset.splits["train"]))
        plan, threads = with_threads(options, plan, folder, model, start, dataset)
        conditions = Conditions.of(plan)
        # One that was killed in its end has to come to it.
        training = plan.last >= plan.first or options.resume
        inputs = open_inputs(plan, folder, model, dataset, package, training, options.on_test)
        engine = _engine(options, folder, model, start, plan)
        if training:
            own_loop = load_loop(package, plan.loop) if plan.loop else None
            _check_states(model, start, file, options.engine)
            _say_how(plan, start, threads)
            conditions.check(device)
        with _recorded(options, model, start, file, plan, digest) as (metrics, history, run):
            if threads:
                metrics.record("threads", **threads.record())
            if options.verbose:
                from device_runtime.verbose import describe_run

                describe_run(folder, model, inputs.splits, start, plan.batch_size, plan.seed)
            if training:
                standing = _standing(options, plan, inputs.final, history)
                saved = Saved(options.output, model, plan.keep, standing, metrics, history)
                live = Live(plan.first - 1, plan.last, SCORES[model.target.kind], wanted=options.progress)
                watch = Watch(conditions, metrics, device, pace, live, seconds_of(history))
                keeping = Keeping(engine, model, plan, run, saved, metrics)
                progress = progress_of(history, plan.first - 1, plan.steps_per_epoch, standing.since_best)
                loop = own_loop or Trainer(progress)
                test = inputs.splits["test"]
                before = tested(engine, test, plan.batch_size, model) if options.round_dtype else None
                began = time.perf_counter()
                live.begin(progress.score)
                of_loop = TrainingRun(
                    engine, model, inputs, plan, keeping, standing, metrics, watch, live, progress.score
                )
                loop(of_loop)
                step = of_loop.step
                keeping.save(step)
                watch.end(step)
                trained_s = time.perf_counter() - began
                trained = _end_with_best(engine, model, saved, standing, metrics) if plan.best else None
                evaluated = step if trained is None else trained
                evaluation = evaluate(engine, inputs.splits[inputs.final], plan.batch_size, model)
                keeping.check(evaluation, evaluated, inputs.final)
                if evaluation.predictions:
                    heading = Heading(run.id, evaluated, inputs.final, model.target.count, evaluation.images)
                    write_predictions(options.output, evaluation.predictions, heading)
                if options.round_dtype and before:
                    is_of_test = inputs.final == "test"
                    after = evaluation if is_of_test else tested(engine, test, plan.batch_size, model)
                    images = len(dataset.splits["train"])
                    losses = losses_from(plan.first, options.output)
                    result = round_result(images, losses, before, after, trained_s)
                    write_round_of(options.output, options.round_dtype, engine, model, result)
            else:
                step = evaluated = start.step
                evaluation = evaluate(engine, inputs.splits[inputs.final], plan.batch_size, model)
                if start.step and len(evaluation.each) > 1:
                    say(each_line(dataset.classes, evaluation.each))
            say(score_on(inputs.final, evaluation.score, evaluation.measure))
            evaluation.record(metrics, evaluated, inputs.final)
            evaluation.record_each(metrics, evaluated, inputs.final, dataset.classes)
            seconds = round(time.perf_counter() - started, 3)
            memory = {"peak_memory_bytes": peak_memory_bytes(), "base_memory_bytes": base}
            metrics.record("end", step=step, **memory, seconds=seconds)
            metrics.sync()


@contextmanager
def _recorded(
    options: Options, model: Model, start: Checkpoint, file: Path, plan: Plan, digest: str
) -> Iterator[tuple[Metrics, list[Record], Run]]:
    """The open metrics, what is in them already of the training that goes on, and the training's own name."""
    output, records = options.output, list[Record]()
    run = Run(start.run.id if options.resume else os.urandom(6).hex(), digest, plan.record())
    if plan.last < plan.first and not options.resume:
        path = output / f"evaluation_{start.step}.jsonl"
    else:
        path = output / METRICS
        remove_leftovers(output)
        records = kept_records(output, start, file)
        if not records:
            set_aside(output)
    if options.resume:
        first = {"event": "resume", "step": start.step, "file": file.name}
    else:
        named = {"model": model.name, "digest": model.digest, "engine": options.engine, "time": int(time.time())}
        first = {"event": "start", **named, "run": run.id, "package": digest, "file": str(file), **run.plan}
    # In one go with what is kept: a file that says nothing of its training could not be gone on from.
    replace_records(path, [*records, first])
    with Metrics(path) as metrics:
        yield metrics, records, run


def _standing(options: Options, plan: Plan, final: str, history: Sequence[Record]) -> Standing:
    """The evaluations by which the training is steered: those on the test images, unless it is asked to choose.

    What a loop of the user's own does with them nobody knows.
    """
    start = last_start(history) if options.resume else None
    began = (plan.first if start is None else start["first"]) - 1
    return Standing(final if plan.patience or plan.best or plan.loop else "test", history, began)


def _end_with_best(engine: Engine, model: Model, saved: Saved, standing: Standing, metrics: Metrics) -> int | None:
    """Has the engine hold the checkpoint that was best, and says so; returns its step, None where none was evaluated.

    Raises:
      FormatError: it is no whole checkpoint any more.
    """
    if saved.best is None:
        return None
    best = read_checkpoint(saved.best, model)
    engine.restore(best.parameters, best.buffers, best.states)
    metrics.record("best", step=best.step, file=saved.best.name)
    say(f"best on {standing.split} data after step {best.step}: that is the trained model")
    return best.step


def _start(options: Options, folder: Path, model: Model, digest: str) -> tuple[Checkpoint, Path]:
    """What the run starts from, and its file."""
    untrained = folder / untrained_name(model)
    if options.resume:
        return interrupted(options.output, read_checkpoint(untrained, model), model, digest)
    file = untrained if options.file.is_dir() else options.file
    return read_checkpoint(file, model), file.resolve()


def _say_how(plan: Plan, start: Checkpoint, threads: Threads | None) -> None:
    """What nobody typed: the number of threads, and what a training that goes on takes over from the one before."""
    if threads:
        say(threads.line())
    if not start.step:
        return
    how = f"learning rate {plan.learning_rate:g}, batch size {plan.batch_size}, schedule {plan.schedule}"
    augmented = f", augmented by {' and '.join(plan.augment)}" if plan.augment else ""
    say(f"going on after step {start.step}, to step {plan.last}: {how}{augmented}")
    if schedule_is_over(plan):
        say(
            f"the {plan.schedule} schedule ended in step {plan.schedule_last}: "
            "the learning rate stays what it was there; give a --schedule to begin a new one"
        )


def _engine(options: Options, folder: Path, model: Model, start: Checkpoint, plan: Plan) -> Engine:
    # Each engine is imported when it is used: the reference's packages do not exist on a device.
    if options.engine == "reference":
        try:
            from device_runtime.engines.reference import ReferenceEngine
        except ModuleNotFoundError as error:
            raise FormatError("--engine reference runs on x86 alone: use --engine lowered") from error
        return ReferenceEngine(folder / "reference", model, start, plan.threads)
    from device_runtime.engines.lowered import LoweredEngine

    draws = plan.proximal_mu and plan.last >= plan.first
    proximal = _proximal(options, folder, model, start, plan) if draws else None
    return LoweredEngine(folder, model, start, plan.batch_size, plan.threads, proximal)


def _proximal(options: Options, folder: Path, model: Model, start: Checkpoint, plan: Plan) -> Proximal:
    if options.resume:
        # Not what it goes on from: a training that never stopped would be another.
        start = began_with(options.output, read_checkpoint(folder / untrained_name(model), model), model)
    return Proximal(start.parameters.copy(), plan.proximal_mu)


def _check_fit(model: Model, dataset: Dataset, options: Options) -> None:
    description = dataset.description
    problems: list[str] = []
    if description.sample != model.input:
        problems.append(f"its samples are {description.sample.text}, the model takes {model.input.text}")
    if not _fits(description.target, model.target):
        problems.append(f"it has {description.target.text}, the model {model.target.text}")
    problems += unfit_changes(options.augment or (), dataset)
    missing = [split for split in ("train", "test") if not len(dataset.splits.get(split, ()))]
    if missing:
        problems.append(f"it has no images in {' and '.join(missing)}")
    if problems:
        raise FormatError(f"the dataset {options.data} does not fit {model.name}: {'; '.join(problems)}; package again")


def _fits(given: Target, known: Target) -> bool:
    """Whether a model knows such targets; of fewer classes too."""
    fewer = given.kind == CLASS and given.count <= known.count
    return given == known or (fewer and replace(given, count=known.count) == known)


def _check_states(model: Model, start: Checkpoint, file: Path, engine: str) -> None:
    """Without its moments an optimizer would go on with steps several times too large and say nothing."""
    if model.buffers and engine == "reference":
        raise FormatError("--engine reference keeps no running statistics of batch normalisation: use --engine lowered")
    if start.step and engine == "reference":
        raise FormatError("--engine reference cannot go on from a trained checkpoint: start from the untrained one")
    if start.step and start.optimizer != model.optimizer.name:
        raise FormatError(
            f"{file} was trained with {start.optimizer}, this package has {model.optimizer.name}: it can be evaluated; "
            f"to go on, package with --optimizer {start.optimizer}"
        )
    missing = set(model.optimizer.states) - set(start.states)
    if start.step and missing:
        raise FormatError(
            f"{file} has no {' and '.join(sorted(missing))} of the optimizer {model.optimizer.name}: "
            "it can be evaluated; to go on, give a checkpoint that this package's lowered engine saved"
        )
