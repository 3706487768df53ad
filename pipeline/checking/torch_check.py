"""The lowered graphs of a torch module against the module itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import onnx
import torch

from pipeline.capture.joint.failures import KEPT
from pipeline.capture.joint.forgetting import forget_each_run
from pipeline.checking.comparison import Comparison, Unequal
from pipeline.checking.differences import Measured, relative
from pipeline.checking.double import doubled
from pipeline.checking.images import regrouped
from pipeline.checking.learning import Learning
from pipeline.checking.locating import beginning
from pipeline.checking.lowered_side import LoweredSide
from pipeline.checking.observed import Array, Batch, Observed, observe
from pipeline.checking.torch_side import OnOutput, TorchSide
from pipeline.checking.updates import check_train_step, check_updates
from pipeline.errors import ModelError
from pipeline.graphs.stored import load_light
from pipeline.lowering.model_folder import read_network
from pipeline.lowering.step import build_calm_gradient_step
from pipeline.recipe import Recipe
from pipeline.sources.onnx_files.refusals import refusing
from pipeline.sources.uncompiled import uncompiled

# Apart from the order in which threads add up.
REPEATED = 1e-5

# By how many images the batches are shifted where gradients are compared once more.
SHIFTS = (3, 6, 9, 12, 5, 10)


@uncompiled()
def check_torch(
    module: torch.nn.Module, learning: Learning, batches: Sequence[Batch], export: Path, artifacts: Path, folder: Path
) -> Measured:
    """Compares evaluation, each batch's step and the updates that follow.

    Args:
      module: what was exported; it is left as it is.
      learning: what it was exported with.
      batches: what both sides are given, one after another.
      export: the export's folder.
      artifacts: the artifacts' folder.
      folder: the model folder.

    Raises:
      ModelError: they differ by more than rounding; it names the module where that begins.
    """
    recipe = learning.recipe
    gradient, random = _gradient_step(recipe, export, artifacts, folder)
    theirs = _Theirs(module, learning, export, batches)
    ours = LoweredSide(folder, gradient)
    with refusing("the lowered model fails", "this is a fault of the program; --no-check packages it all the same"):
        lowered = observe(ours, batches)
    ours.close()
    comparison = _compared(lowered, theirs)
    try:
        comparison.run()
    except Unequal as difference:
        if not difference.gradients or not _by_chance(difference, ours, theirs, batches):
            if difference.step is not None and theirs.keeps(lowered):
                raise ModelError(KEPT) from None
            where = difference.where or _located(difference, ours, theirs, batches)
            raise ModelError(difference.line(where)) from None
    ours.restart()
    update = check_updates(ours, [step.gradients for step in lowered.steps], recipe)
    if update is not None:
        comparison.measured.largest["update"] = update
    if not random:
        check_train_step(ours, batches[0], lowered.steps[0], recipe.optimizer)
    return comparison.measured


def _compared(lowered: Observed, theirs: _Theirs) -> Comparison:
    return Comparison(lowered, theirs.observed, lambda: theirs.exact, theirs.backward_order, theirs.counters)


def _by_chance(difference: Unequal, ours: LoweredSide, theirs: _Theirs, batches: Sequence[Batch]) -> bool:
    """Whether each gradient that differs is equal for another grouping of the images: a wrong one differs for all."""
    wrong = difference.gradients
    for shift in SHIFTS:
        start, others = LoweredSide(ours.folder, ours.gradient), regrouped(batches, shift)
        try:
            _compared(observe(start, others), theirs.on(others)).run()
        except Unequal as again:
            wrong &= again.gradients
            if not again.gradients:
                return False
        else:
            return True
        if not wrong:
            return True
    return False


def _gradient_step(recipe: Recipe, export: Path, artifacts: Path, folder: Path) -> tuple[Path | onnx.ModelProto, bool]:
    """The gradient step, one with given random numbers where it draws any; and whether it draws."""
    shipped = folder / "gradient_step.onnx"
    # Only what is random reads the number of the step.
    if not any("step" in node.input for node in load_light(shipped).graph.node):
        return shipped, False
    return build_calm_gradient_step(read_network(recipe, export, artifacts)), True


class _Theirs:
    """torch on the same batches, in float32 and, where that is asked for, in float64."""

    def __init__(self, module: torch.nn.Module, learning: Learning, export: Path, batches: Sequence[Batch]) -> None:
        self._module, self._learning, self._export, self._batches = module, learning, export, batches
        side = self.fresh()
        self.observed = observe(side, batches)
        self.backward_order, self.counters = side.backward_order, side.counters
        # It has all weights: the next copy does not live beside it.
        del side
        self._check_repeated()

    def _check_repeated(self) -> None:
        """Refuses a module of which two copies give two results: it reads what is no part of it."""
        again, first = self.fresh(), self._batches[0]
        results = (again.evaluate(first).logits, again.step(first).loss)
        for result, expected in zip(
            results, (self.observed.evaluation.logits, self.observed.steps[0].loss), strict=True
        ):
            if not relative(result, expected) <= REPEATED:
                raise ModelError(
                    "the model gives another result each time for the same images: it draws from a generator of "
                    "its own, reads a clock or what other runs left; draw by torch.rand, or keep it in a buffer"
                )

    def fresh(self, dtype: torch.dtype = torch.float32) -> TorchSide:
        """A side that has made no step."""
        return TorchSide(self._module, self._export, self._learning, dtype)

    def on(self, batches: Sequence[Batch]) -> _Theirs:
        """The same on other batches."""
        return _Theirs(self._module, self._learning, self._export, batches)

    def keeps(self, lowered: Observed) -> bool:
        """Whether it is the module that keeps something of one run for the next: without, both sides are alike."""
        side = self.fresh()
        forget_each_run(side.module)
        forgetful = observe(side, self._batches)
        try:
            Comparison(lowered, forgetful, lambda: None, side.backward_order, side.counters).run()
        except Unequal:
            return False
        return True

    @cached_property
    def exact(self) -> Observed | None:
        """In float64; None where the module does not run in it."""
        try:
            side = self.fresh(torch.float64)
            with doubled():
                return observe(side, self._batches)
        except (ModelError, RuntimeError):
            return None


def _located(difference: Unequal, ours: LoweredSide, theirs: _Theirs, batches: Sequence[Batch]) -> str | None:
    """Where a difference in the forward pass begins, as far as names tell it."""
    side, first = theirs.fresh(), batches[0]
    start = LoweredSide(ours.folder, ours.gradient)
    if difference.step is None:
        graph, feeds = load_light(ours.folder / "eval_step.onnx"), start.evaluation_feeds(first)
        return beginning(graph, feeds, _outputs(lambda observer: side.evaluate(first, observer)))
    for batch in batches[: difference.step]:
        for one in (start, side):
            one.step(batch)
            one.nudge()
    batch = batches[difference.step]
    outputs = _outputs(lambda observer: side.step(batch, observer))
    gradient = load_light(ours.gradient) if isinstance(ours.gradient, Path) else ours.gradient
    return beginning(gradient, start.step_feeds(batch), outputs)


def _outputs(run: Callable[[OnOutput], object]) -> dict[str, Array]:
    """What each module gives during a run, by path; of one that is used more than once, the last."""
    outputs: dict[str, Array] = {}

    def keep(path: str, output: torch.Tensor) -> None:
        outputs.pop(path, None)
        outputs[path] = output.numpy()

    run(keep)
    return outputs
