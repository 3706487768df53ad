"""Goes through what two sides observed, in the order in which a difference says most, up to the first one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

import numpy as np

from pipeline.checking.differences import Measured, largest, relative
from pipeline.checking.observed import Array, Observed, Step

ADVICE = "write it in another way, freeze it, or train it all the same with --no-check"


class Unequal(Exception):
    """The first difference.

    Attributes:
      step: of which step it is, from 0; None: of the evaluation.
      where: `in` which module, where that is known already.
      gradients: where gradients alone differ, in which step and of which parameters. Rounding may have made that: the
        input of a ReLU that is all but 0 is on one side of it here, and on the other there.
    """

    def __init__(self, what: str, step: int | None = None, where: str | None = None) -> None:
        super().__init__(what)
        self.step = step
        self.where = where
        self.gradients: frozenset[tuple[int, str]] = frozenset()

    def line(self, where: str | None) -> str:
        """The error's message."""
        place = f"; it begins {where}" if where else ""
        return f"the lowered network is not the one that torch trains: {self}{place}: {ADVICE}"


class Comparison:
    """The lowered side against torch's.

    Attributes:
      measured: what was found so far.
    """

    def __init__(
        self,
        ours: Observed,
        theirs: Observed,
        exact: Callable[[], Observed | None],
        backward_order: Sequence[str],
        uncarried: Collection[str],
    ) -> None:
        self._ours, self._theirs, self._exact = ours, theirs, exact
        self._order = {name: place for place, name in enumerate(backward_order)}
        self._uncarried = uncarried
        self._gradients: dict[tuple[int, str], Unequal] = {}
        self.measured = Measured()

    def run(self) -> None:
        """Compares everything; gradients at last, as they alone may differ by chance.

        Raises:
          Unequal: something differs.
        """
        ours, theirs = self._ours.evaluation, self._theirs.evaluation
        self._same("logits", ours.logits, theirs.logits, lambda exact: exact.evaluation.logits, "evaluation's logits")
        self._same("loss", ours.loss, theirs.loss, lambda exact: exact.evaluation.loss, "evaluation's loss")
        for number, (own, other) in enumerate(zip(self._ours.steps, self._theirs.steps, strict=True)):
            self._check_names(own, other)
            self._check_carried(other, number)
            exact_loss = partial(_loss_of, number=number)
            self._same("loss", own.loss, other.loss, exact_loss, "training's loss", number)
            self._check_gradients(own, other, number)
            self._check_buffers(own, other, number)
        if self._gradients:
            first = next(iter(self._gradients.values()))
            first.gradients = frozenset(self._gradients)
            raise first

    def _check_names(self, ours: Step, theirs: Step) -> None:
        """Refuses what trains on one side alone."""
        known = theirs.parameters
        for name in ours.gradients:
            if name not in known:
                kind = "a buffer" if name in theirs.buffers else "no parameter"
                raise Unequal(f"{name} would train, which is {kind} of the module", 0, _module_of(name))
        for name in theirs.gradients:
            if name not in ours.gradients and np.any(theirs.gradients[name]):
                raise Unequal(f"{name} would never train", 0, _module_of(name))

    def _check_carried(self, theirs: Step, number: int) -> None:
        """Refuses a buffer that torch renews and no graph carries."""
        before = (self._theirs.buffers, *(step.buffers for step in self._theirs.steps))[number]
        for name, value in theirs.buffers.items():
            renewed = not np.array_equal(value, before[name], equal_nan=True)
            if renewed and name not in self._ours.buffers and name not in self._uncarried:
                what = f"the buffer {name}, which forward renews, would stay as it is, as by .data"
                raise Unequal(what, number, _module_of(name))

    def _check_gradients(self, ours: Step, theirs: Step, number: int) -> None:
        """In the order of the backward pass, those that torch gives none at last."""
        scale = max((largest(value) for value in theirs.gradients.values()), default=0.0)
        for name in sorted(ours.gradients, key=lambda name: self._order.get(name, len(self._order))):
            own, zero = ours.gradients[name], np.zeros_like(ours.gradients[name])
            other = theirs.gradients.get(name, zero)
            exact = partial(_gradient_of, name=name, number=number, missing=zero)
            what = f"the gradient of {name}"
            try:
                self._same("gradients", own, other, exact, what, number, _module_of(name), scale)
            except Unequal as difference:
                self._gradients[number, name] = difference

    def _check_buffers(self, ours: Step, theirs: Step, number: int) -> None:
        for name, own in ours.buffers.items():
            exact = partial(_buffer_of, name=name, number=number)
            what = f"the buffer {name} after step {number + 1}"
            self._same("buffers", own, theirs.buffers[name], exact, what, number, _module_of(name))

    def _same(
        self,
        kind: str,
        ours: Array,
        theirs: Array,
        exact_part: Callable[[Observed], Array],
        what: str,
        step: int | None = None,
        where: str | None = None,
        scale: float = 0.0,
    ) -> None:
        def exact() -> Array | None:
            found = self._exact()
            return None if found is None else exact_part(found)

        if not self.measured.fits(kind, what, ours, theirs, exact, scale):
            raise Unequal(f"{what} differs by {relative(ours, theirs):.1e} of its largest element", step, where)


def _loss_of(side: Observed, number: int) -> Array:
    return side.steps[number].loss


def _gradient_of(side: Observed, name: str, number: int, missing: Array) -> Array:
    return side.steps[number].gradients.get(name, missing)


def _buffer_of(side: Observed, name: str, number: int) -> Array:
    return side.steps[number].buffers[name]


def _module_of(name: str) -> str:
    path = name.rpartition(".")[0]
    return f"in the module {path!r}" if path else "in the model itself"
