"""Differential privacy of devices, by Flower's own classes: devices clip their updates, noise is added to the mean.

Flower's clipping takes the update (what a device gives, less what it was given) over all arrays of the message as one
vector. The noise is numpy's, in the type in which the mean comes, float64 here.

It imports flwr: import it where a fleet runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord
from flwr.clientapp.mod import fixedclipping_mod
from flwr.clientapp.typing import ClientAppCallable, Mod
from flwr.serverapp.strategy import DifferentialPrivacyClientSideFixedClipping, FedAvg
from flwr.supercore.differential_privacy import KEY_CLIPPING_NORM

from pipeline.errors import UsageError
from pipeline.fleet.options.privacy import Privacy

# The weight of each update in the mean, as a metric.
_WEIGHT = "equal-weight"


def wrapped(strategy: FedAvg, dp: Privacy, compress: str | None) -> DifferentialPrivacyClientSideFixedClipping:
    """The strategy with devices that clip, and noise.

    Args:
      strategy: one that takes the mean.
      dp: how much.
      compress: in which type parameters travel, where it is not float32.

    Raises:
      UsageError: noise added like this would not hide what it says.
    """
    if type(strategy).aggregate_train is not FedAvg.aggregate_train:
        raise UsageError(
            f"--dp {dp}: how much noise hides a device is known where the new model is the mean of all: "
            "leave out --strategy, or take fedprox"
        )
    if compress:
        raise UsageError(
            f"--dp {dp}: what is rounded to {compress} is longer than what was clipped: leave out --compress"
        )
    strategy.weighted_by_key = _WEIGHT
    # The number of devices is set in each round.
    return _NoisyMean(strategy, dp.noise, dp.clip, 1)


def check_buffers(dp: Privacy, buffers: int) -> None:
    """Refuses models with running statistics.

    Args:
      dp: what was asked for.
      buffers: so many numbers of them.

    Raises:
      UsageError: there are some.
    """
    if buffers:
        raise UsageError(
            f"--dp {dp}: the model has running statistics, which tell of images and do not bear noise (a variance "
            "would be below 0): normalise by GroupNorm or LayerNorm"
        )


def mods_for(message: Message) -> list[Mod]:
    """What stands around the training of a message: Flower's clipping, where the strategy asks for it."""
    asked = any(KEY_CLIPPING_NORM in config for config in message.content.config_records.values())
    return [_clip] if asked else []


def _clip(message: Message, context: Context, train: ClientAppCallable) -> Message:
    """Flower's clipping, which divides by the length of an update: one without any stays as it is."""
    answer = train(message, context)
    with suppress(ZeroDivisionError):
        return fixedclipping_mod(message, context, lambda *_: answer)
    return answer


class _NoisyMean(DifferentialPrivacyClientSideFixedClipping):
    """Flower's, with the noise of so many devices as answered, each with the same weight.

    Flower's own adds the noise of as many as it asked for, whatever their weights: a device with most of the images
    would move the mean by more than its share of what the noise hides.
    """

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The mean of the updates with noise; None where there are none."""
        answers = [reply for reply in replies if not reply.has_error()]
        for answer in answers:
            for metrics in answer.content.metric_records.values():
                metrics[_WEIGHT] = 1.0
        self.num_sampled_clients = len(answers)
        # Flower draws from numpy's global generator, which a user's module may have seeded: who knows the seed can
        # take the noise away.
        np.random.seed()
        made: tuple[ArrayRecord | None, MetricRecord | None] = super().aggregate_train(server_round, answers)
        return made
