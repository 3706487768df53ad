"""When a training may run: it pauses while the device does not meet what was asked for.

Nothing of the training changes by it: between two updates it waits, or not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from device_runtime.console import say
from device_runtime.formats.battery import Power
from device_runtime.formats.errors import FormatError
from device_runtime.formats.option_values import minutes_of
from device_runtime.live import Live
from device_runtime.metrics import Field, Metrics, resident_memory_bytes
from device_runtime.plan import Plan
from device_runtime.power import Device

# A pause ends when the battery is so much better than asked for: at the very limit it would come and go.
MARGIN_PERCENT = 2
MARGIN_CELSIUS = 2


@dataclass(frozen=True)
class Pace:
    """How often the device is asked: `dumpsys battery` starts a program and takes some 30 ms of a phone.

    Attributes:
      ask_every_s: about the conditions, while the training runs.
      ask_paused_every_s: about the conditions, while it is paused.
      note_every_s: for its state, which goes to the metrics.
      sample_every_s: this process's memory is noted, which costs next to nothing.
      least_gap_s: the shortest gap between two updates that is noted.
    """

    ask_every_s: float = 5.0
    ask_paused_every_s: float = 20.0
    note_every_s: float = 30.0
    sample_every_s: float = 5.0
    least_gap_s: float = 60.0


@dataclass(frozen=True)
class Conditions:
    """What was asked for; None for what was not.

    Attributes:
      between: hours of the device's local time, `22:00-06:00`.
      min_battery: percent.
      max_battery_temp: °C.
    """

    while_charging: bool = False
    between: str | None = None
    min_battery: int | None = None
    max_battery_temp: float | None = None

    @classmethod
    def of(cls, plan: Plan) -> Conditions:
        """Those of a plan."""
        return cls(plan.while_charging, plan.between, plan.min_battery, plan.max_battery_temp)

    def check(self, device: Device) -> None:
        """Refuses what the device can never tell.

        Raises:
          FormatError: it does not tell what a condition asks for.
        """
        power = device.power()
        if self.max_battery_temp is not None and power.celsius is None:
            raise FormatError("--max-battery-temp: this device does not tell its battery's temperature: leave it out")
        if self.min_battery is not None and power.battery and power.percent is None:
            raise FormatError("--min-battery: this device does not tell how full its battery is: leave it out")
        if self.between is not None and not device.local_time():
            raise FormatError("--between: this device's `date` does not tell the time: leave it out")

    def unmet(self, device: Device, power: Power, *, paused: bool) -> str:
        """Why the training may not run; empty when it may.

        Args:
          device: tells the time.
          power: what it says of its battery.
          paused: whether it waits already: then the margins are added.
        """
        reasons = []
        if self.while_charging and not power.plugged:
            reasons.append("the device is not plugged in (--while-charging)")
        if self.between is not None and not _is_between(time_of_day := device.local_time(), self.between):
            reasons.append(f"it is {time_of_day} on the device, not --between {self.between}")
        if self.min_battery is not None and power.battery:
            least = min(100, self.min_battery + MARGIN_PERCENT * paused)
            if power.percent is None:
                reasons.append(f"the battery does not say how full it is (--min-battery {self.min_battery})")
            elif power.percent < least:
                reasons.append(f"the battery has {power.percent:.3g} %, below --min-battery {self.min_battery}")
        if self.max_battery_temp is not None:
            limit = f"--max-battery-temp {self.max_battery_temp:g}"
            if power.celsius is None:
                reasons.append(f"the battery does not say how hot it is ({limit})")
            elif power.celsius > self.max_battery_temp - MARGIN_CELSIUS * paused:
                reasons.append(f"the battery has {power.celsius:.3g} °C, above {limit}")
        return "; ".join(reasons)


class Watch:
    """Stands between the updates of a training: pauses it, and notes the device's state and where it slept.

    Args:
      conditions: what has to be met.
      metrics: takes the records.
      device: the device.
      pace: how often it is asked.
      live: is told of pauses.
      seconds: that the training took before, where it goes on here.
    """

    def __init__(
        self, conditions: Conditions, metrics: Metrics, device: Device, pace: Pace, live: Live, seconds: float
    ) -> None:
        self._conditions = conditions
        self._metrics = metrics
        self._device = device
        self._pace = pace
        self._live = live
        self._began = _now() - seconds
        self._first: int | None = None
        self._asked = self._noted = self._sampled = float("-inf")
        self._passed: tuple[float, float] | None = None
        self._slept: list[float] = []

    def after(self, step: int, save: Callable[[int], None]) -> None:
        """Waits, after update `step` and before the next one, until the conditions are met.

        Args:
          step: number of the last update; before the first one, of the checkpoint that training starts from.
          save: writes the checkpoint of a step; called before a pause, unless nothing was trained yet.
        """
        self._note_gap(step)
        self._first = step if self._first is None else self._first
        now = _now()
        note = now - self._noted >= self._pace.note_every_s
        ask = now - self._asked >= self._pace.ask_every_s and self._conditions != Conditions()
        if ask or note:
            self._asked = now
            power = self._device.power()
            self._note(step, power, state=note)
            if reason := self._conditions.unmet(self._device, power, paused=False):
                self._pause(step, reason, save)
        elif now - self._sampled >= self._pace.sample_every_s:
            self._sample(step)
        self._passed = _now(), time.thread_time()

    def end(self, step: int) -> None:
        """After the last update, `step`: says how long the device slept, if it did."""
        self._sample(step)
        if self._slept:
            count = "a gap" if len(self._slept) == 1 else f"{len(self._slept)} gaps"
            say(f"the device slept for {duration(sum(self._slept))} in {count}")

    def _pause(self, step: int, reason: str, save: Callable[[int], None]) -> None:
        if step != self._first:
            save(step)
        began = _now()
        self._metrics.record("pause", step=step, reason=reason)
        say(f"paused at step {step}: {reason}")
        self._live.pause()
        while reason:
            time.sleep(self._pace.ask_paused_every_s)
            power = self._device.power()
            reason = self._conditions.unmet(self._device, power, paused=True)
        self._asked = _now()
        self._note(step, power, state=True)
        self._metrics.record("continue", step=step, seconds=round(self._asked - began, 3))
        say(f"goes on at step {step} after {duration(self._asked - began)}")
        self._live.go_on()

    def _note(self, step: int, power: Power, *, state: bool) -> None:
        """Notes what the battery said, and with `state` whatever else the device tells."""
        battery = {"battery_percent": power.percent, "battery_celsius": power.celsius}
        told = {name: value for name, value in battery.items() if value is not None}
        if state:
            self._noted = _now()
        self._sample(step, plugged=power.plugged, **told, **(self._device.state() if state else {}))

    def _sample(self, step: int, **told: Field) -> None:
        """Notes what costs nothing to know, and what is told beside it."""
        self._sampled = _now()
        seconds = round(self._sampled - self._began, 3)
        self._metrics.record("device", step=step, seconds=seconds, rss_bytes=resident_memory_bytes(), **told)

    def _note_gap(self, step: int) -> None:
        """Notes the time since the last call in which this thread neither computed nor was ours to pause."""
        if self._passed is None:
            return
        passed, computed = self._passed
        # An evaluation may take minutes as well, but it computes.
        idle = (_now() - passed) - (time.thread_time() - computed)
        if idle >= self._pace.least_gap_s:
            self._slept.append(idle)
            self._metrics.record("gap", step=step, seconds=round(idle, 3))


def duration(seconds: float) -> str:
    """`8 s`, `12 min`, `3 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _is_between(time_of_day: str, hours: str) -> bool:
    """Whether `HH:MM` is in the hours; those that end before they begin go over midnight."""
    begin, end = (minutes_of(text) for text in hours.split("-"))
    now = minutes_of(time_of_day) if time_of_day else -1
    return begin <= now < end if begin < end else now >= begin or 0 <= now < end


def _now() -> float:
    # CLOCK_MONOTONIC stands still while a device is suspended.
    return time.clock_gettime(time.CLOCK_BOOTTIME)
