"""Names of the files in which the graphs of a torch module stand."""

from __future__ import annotations

from pathlib import Path

TRAINING, EVALUATION = "training.onnx", "evaluation.onnx"

# The forward graph in training mode that only `--engine reference` needs.
REFERENCE = "reference.onnx"


def is_joint(export_folder: Path) -> bool:
    """Whether torch differentiated the model; else onnxruntime-training is to."""
    return (export_folder / TRAINING).exists()
