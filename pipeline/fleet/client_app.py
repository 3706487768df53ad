"""The ClientApp of a device: Flower's messages in, what the device did out.

Arrays travel as one vector of all trainable parameters, and one of running statistics where the model has them; in
float16 where the fleet compresses. All but questions travels packed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.client.mod.utils import make_ffn
from flwr.clientapp import ClientApp

from pipeline.errors import TargetError
from pipeline.fleet.device import CONDITIONS, TRAINING, Device
from pipeline.fleet.seat import Seat, read_seat
from pipeline.fleet.wire import ARRAYS, CONFIG, METRICS, arrays_of, packed, record_of, unpacked

app = ClientApp()


@app.query()
def query(message: Message, context: Context) -> Message:
    """Who the device is, and why it cannot take part now: an empty text when it can."""
    device = _device(context)
    conditions = _chosen(message.content.config_records[CONFIG], CONDITIONS)
    busy = context.node_config.get("busy", False)
    unready = "it still works for an earlier round" if busy else device.unready(conditions)
    told: dict[str, Any] = {"device": device.seat.device, "unready": unready, "digest": device.model.digest}
    told |= {"kind": device.seat.target, "train": list(device.seat.train), "test": list(device.seat.test)}
    if not unready:
        told |= _facts(device.seat)
    return Message(RecordDict({CONFIG: ConfigRecord(told)}), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Trains from the arrays given, as the config says; with Flower's clipping where the strategy asks for it."""
    from pipeline.fleet.privacy import mods_for

    message.content = unpacked(message.content)
    answer: Message = make_ffn(_train, mods_for(message))(message, context)
    if answer.has_content():
        answer.content = packed(answer.content)
    return answer


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluates the arrays given on the device's own test images; trains first where the config says `cycles`."""
    message.content = unpacked(message.content)
    device, config = _device(context), message.content.config_records[CONFIG]
    _check_model(device, config)
    arrays = arrays_of(message.content.array_records[ARRAYS])
    if config.get("cycles"):
        result = device.train(arrays, _chosen(config, TRAINING), "float32").result
        metrics: dict[str, Any] = {"loss": result.test_loss_before, "accuracy": result.accuracy_before}
        metrics |= {"personalised-accuracy": result.accuracy, "num-examples": sum(device.seat.test)}
    else:
        evaluated = device.evaluate(arrays)
        metrics = {"loss": evaluated.loss, "accuracy": evaluated.accuracy, "num-examples": evaluated.images}
    return Message(packed(RecordDict({METRICS: MetricRecord(metrics)})), reply_to=message)


def _train(message: Message, context: Context) -> Message:
    device, config = _device(context), message.content.config_records[CONFIG]
    _check_model(device, config)
    dtype = str(config.get("dtype", "float32"))
    given = _chosen(config, TRAINING)
    if "proximal-mu" in config:
        # FedProx's own name for it.
        given["proximal_mu"] = config["proximal-mu"]
    trained = device.train(arrays_of(message.content.array_records[ARRAYS]), given, dtype)
    result, cost = trained.result, trained.cost
    metrics: dict[str, Any] = {
        "num-examples": result.images,
        "steps": result.steps,
        "loss": result.loss,
        "accuracy": result.accuracy,
        "loss-before": result.test_loss_before,
        "accuracy-before": result.accuracy_before,
        **{name.replace("_", "-"): value for name, value in vars(cost).items()},
    }
    content = RecordDict({ARRAYS: record_of(trained.arrays, dtype), METRICS: MetricRecord(metrics)})
    return Message(content, reply_to=message)


@cache
def _facts(seat: Seat) -> dict[str, Any]:
    """What the device of a seat says of itself, which stays as it is: it is asked once."""
    return {name: value for name, value in Device(seat).facts().items() if value is not None}


def _device(context: Context) -> Device:
    return Device(read_seat(Path(str(context.node_config["seat"]))))


def _check_model(device: Device, config: Mapping[str, Any]) -> None:
    if config["digest"] != device.model.digest:
        raise TargetError(
            f"{device.seat.device} has another model than the fleet: join with the same options of the model"
        )


def _chosen(config: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: config[name] for name in names if name in config}
