"""Tells a host that shows a training while it runs how far it is: a line now and then."""

from __future__ import annotations

import time
from dataclasses import replace

from device_runtime.console import say
from device_runtime.formats.moment import Moment, line_of

LEAST_S, MOST_S = 0.25, 5.0
# A display shows no more of a training; its lines stay in the log of a job, which lasts for days perhaps.
_PARTS = 1000


class Live:
    """Prints how far a training is, where that is wanted.

    Args:
      step: number of the last update before it.
      steps: number of its last update.
      measure: what the score is.
      wanted: whether anybody shows it; nothing is printed otherwise.
    """

    def __init__(self, step: int, steps: int, measure: str = "accuracy", *, wanted: bool) -> None:
        self._wanted = wanted
        self._last = Moment(step, steps, measure=measure)
        self._first = step
        self._images, self._seconds = 0, 0.0
        # Pauses move the beginning: how long the rest takes follows from the time in which it trained.
        self._began = self._told = self._paused = 0.0

    def begin(self, score: float | None) -> None:
        """Before the first update; `score` is the last one that is known of a training that goes on."""
        self._began = time.monotonic()
        self._tell(replace(self._last, score=score))

    def after(self, step: int, loss: float, score: float | None, images: int, seconds: float) -> None:
        """After one update or some.

        Args:
          step: number of the last one.
          loss: of that one.
          score: the last one that is known.
          images: that were trained with.
          seconds: that this took.
        """
        if not self._wanted:
            return
        self._images += images
        self._seconds += seconds
        now = time.monotonic()
        spent = now - self._began
        if now - self._told < min(max(spent / _PARTS, LEAST_S), MOST_S) and step < self._last.steps:
            return
        rate = self._images / self._seconds if self._seconds else None
        left = spent / (step - self._first) * (self._last.steps - step)
        self._images, self._seconds = 0, 0.0
        self._tell(Moment(step, self._last.steps, loss, score, rate, left, measure=self._last.measure))

    def pause(self) -> None:
        """When the training begins to wait."""
        self._paused = time.monotonic()
        self._tell(replace(self._last, images_per_second=None, seconds_left=None, paused=True))

    def go_on(self) -> None:
        """When it waits no more."""
        self._began += time.monotonic() - self._paused
        self._tell(replace(self._last, paused=False))

    def _tell(self, moment: Moment) -> None:
        self._last, self._told = moment, time.monotonic()
        if self._wanted:
            say(line_of(moment))
