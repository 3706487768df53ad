"""From a model and data to results: all of it, and the part of it that runs on the target."""

from __future__ import annotations

from pipeline.cli.tasks.declaring import takes_options
from pipeline.settings import Settings


@takes_options
def run(settings: Settings) -> None:
    """Package, push, train, evaluate and pull the results."""
    from pipeline.run import go_on
    from pipeline.run import run as run_all

    if settings.resume is None:
        run_all(settings)
    else:
        go_on(settings)


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
    """Evaluate the last checkpoint, or a run on other data."""
    from pipeline.inference.evaluate import evaluate_run, is_of_a_run
    from pipeline.run import run_on_existing

    if is_of_a_run(settings):
        evaluate_run(settings)
    else:
        run_on_existing(settings, "eval.sh")


@takes_options
def pull(settings: Settings) -> None:
    """Pull checkpoints and metrics of the last training."""
    from pipeline.run import pull_results

    print(pull_results(settings))


@takes_options
def report(settings: Settings) -> None:
    """Report on results again, or compare several."""
    from pipeline.fleet.results import report as write

    print(write(settings))


@takes_options
def runs(settings: Settings) -> None:
    """List the results."""
    from pipeline.fleet.results import rows_of
    from pipeline.results.listing import list_runs

    list_runs(settings.runs, rows_of(settings.runs))


@takes_options
def infer(settings: Settings) -> None:
    """Say which class pictures are of, as a finished run sees them."""
    from pipeline.inference.infer import infer as infer_pictures

    infer_pictures(settings)


@takes_options
def teach(settings: Settings) -> None:
    """Teach the web package classes of your own, in a browser."""
    from pipeline.packing.package import package_folder
    from pipeline.targets import WEB
    from pipeline.targets.web.teaching import teach as serve

    serve(package_folder(settings.build, WEB), settings.serial)


TASKS = (run, train, eval_, infer, pull, report, runs, teach)
