"""The stages on the host, each alone."""

from __future__ import annotations

from dataclasses import replace

from pipeline.cli.tasks.declaring import takes_options
from pipeline.settings import Settings


@takes_options
def convert(settings: Settings) -> None:
    """Convert a dataset to BMP."""
    from pipeline.prepare import convert_data, look_at_data

    if settings.check:
        look_at_data(settings)
    else:
        print(convert_data(settings))


@takes_options
def export(settings: Settings) -> None:
    """Export model and preprocessing to ONNX."""
    from pipeline.prepare import export_model, prepare

    print(export_model(prepare(settings)))


@takes_options
def artifacts(settings: Settings) -> None:
    """Build onnxruntime-training's artifacts."""
    from pipeline.prepare import make_artifacts, prepare

    print(make_artifacts(replace(prepare(settings), reference=True)))


@takes_options
def runtime(settings: Settings) -> None:
    """Assemble the runtime folder of a target."""
    from pipeline.prepare import make_runtime

    print(make_runtime(settings))


@takes_options
def package(settings: Settings) -> None:
    """Package runtime, model, dataset and runner into one folder."""
    from pipeline.prepare import make_package, prepare

    print(make_package(prepare(settings), settings))


TASKS = (convert, export, artifacts, runtime, package)
