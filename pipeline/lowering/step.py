"""Third stage: training artifacts → train_step.onnx and eval_step.onnx for the stock ONNX Runtime.

Reads the export and artifact folders; writes the package's model folder: both graphs, model.json, the untrained
checkpoint and, for `--engine reference`, the artifacts themselves under reference/.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from device_runtime.formats.checkpoint import Checkpoint, write_checkpoint
from device_runtime.formats.model import Input, Model, Tensor, layout, write_model
from device_runtime.formats.model import Optimizer as OptimizerRecord
from pipeline.artifacts import split_parameters
from pipeline.files import new_folder
from pipeline.lowering.graph import Graph, Value
from pipeline.lowering.optimizers import Update, state_names, write_update
from pipeline.lowering.training_graph import lower
from pipeline.recipe import Pixels, Recipe
"""placeholder"""
