"""Makes the vectors of this folder with the runner: `python -m tests.vectors.making`.

Seeds are texts, as they are beyond what a double holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper
from PIL import Image

from device_runtime.augmentation import Augmented, changed
from device_runtime.augmented_sound import AugmentedSound, moved, with_noise
from device_runtime.batches import Batches
from device_runtime.console import each_line
from device_runtime.evaluation import spread
from device_runtime.formats.sample import Target, drawn_targets
from device_runtime.probabilities import probabilities_of
from device_runtime.schedules import learning_rate_at
from device_runtime.scores import scores_of
from pipeline.datasets.photographs.photograph import load_photograph
from pipeline.datasets.photographs.preparation import Preparation
from pipeline.graphs.graph import Graph
from pipeline.lowering.rules.dropout import STEP, give_step
from pipeline.lowering.training_graph import lower
from tests.device_runtime.test_augmentation import Pictures
from tests.device_runtime.test_augmented_sound import Sounds, noise_in

FOLDER = Path(__file__).parent

SEEDS = (0, 1, 7, 2**32 - 1, 2**32, 2**53 - 1, 2**63 - 1)

# Of an order so many samples, from its beginning.
_SHOWN = 64


def vectors() -> dict[str, Any]:
    """The content of each file by its name."""
    return {
        "hashed.json": list(_hashed()),
        "order.json": list(_orders()),
        "augmentation.json": list(_changes()),
        "pictures.json": list(_pictures()),
        "prepared.json": list(_prepared()),
        "sound_changes.json": list(_sound_changes()),
        "sounds.json": list(_sounds()),
        "dropout.json": list(_dropout()),
        "rates.json": list(_rates()),
        "spread.json": [
            {"samples": samples, "count": count, "indices": spread(samples, count).tolist()}
            for samples, count in ((1, 1), (7, 3), (10, 10), (10, 40), (10_000, 320), (9_999, 7))
        ],
        "numbers.json": [{"value": value, "text": f"{value:.6g}"} for value in _numbers()],
        "probabilities.json": list(_probabilities()),
        "scores.json": list(_scores()),
        "classes.json": list(_classes()),
    }


def text_of(content: Any) -> str:
    """As it is in a file: a case a line."""
    return "[\n" + ",\n".join(json.dumps(case) for case in content) + "\n]\n"


def _hashed() -> Iterator[dict[str, Any]]:
    for numbers in ([0], [1, 0], [2**32, 3], [2**63 - 1, 5, 1], [1, 2, 3, 4, 5, 6], [2**63 - 1, 2**40, 2**40]):
        sequence = np.random.SeedSequence(numbers)
        words = sequence.generate_state(8, np.uint32).tolist()
        yield {
            "numbers": [str(number) for number in numbers],
            "words": words,
            "drawn": [str(drawn) for drawn in np.random.PCG64(sequence).random_raw(4).tolist()],
        }


def _orders() -> Iterator[dict[str, Any]]:
    for seed, (epoch, samples) in product(SEEDS, ((0, 1), (0, 10), (3, 1000), (1000, 60_000))):
        batches = Batches(samples, samples, seed)
        order = batches.indices(epoch + 1)
        yield {"seed": str(seed), "epoch": epoch, "samples": samples, "order": order[:_SHOWN].tolist()}
    for step in (1, 3, 4, 100):
        indices = Batches(100, 32, 1).indices(step).tolist()
        yield {"seed": "1", "step": step, "samples": 100, "batch_size": 32, "indices": indices}


def _changes() -> Iterator[dict[str, Any]]:
    for seed, epoch, index, (height, width) in product(SEEDS, (0, 9), (0, 1, 69_999), ((28, 28), (7, 224))):
        change = Augmented(Pictures(1), ("flip", "crop"), seed, epoch).change(index, height, width)
        place = {"seed": str(seed), "epoch": epoch, "index": index, "height": height, "width": width}
        yield {**place, "flip": change.flip, "down": change.down, "right": change.right}


def _pictures() -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(0)
    for seed, channels in product(range(6), (1, 3)):
        picture = random.integers(0, 256, (9, 16, channels), np.uint8)
        change = Augmented(Pictures(1), ("flip", "crop"), seed, 0).change(0, 9, 16)
        yield {
            "shape": list(picture.shape),
            "picture": picture.ravel().tolist(),
            "flip": change.flip,
            "down": change.down,
            "right": change.right,
            "changed": changed(picture, change).ravel().tolist(),
        }


def _prepared() -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(3)
    # Of tall pictures Pillow 13 rounds in another order than before: some numbers are others by one.
    for width, height, mode in ((40, 23, "RGB"), (31, 9, "RGB"), (5, 6, "RGB"), (8, 8, "RGB"), (19, 14, "L")):
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        preparation = Preparation(6, 7, 8, 8, mode)
        with TemporaryDirectory() as folder:
            file = Path(folder, "picture.png")
            Image.fromarray(pixels).save(file)
            wanted = load_photograph(file, preparation)
        sizes = {"width": width, "height": height, "pixels": pixels.ravel().tolist()}
        yield {**sizes, "preparation": asdict(preparation), "prepared": wanted.ravel().tolist()}


def _sound_changes() -> Iterator[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        noise = noise_in(Path(folder))
        for seed, epoch, index, length in product(SEEDS, (0, 9), (0, 1, 69_999), (400, 16_000)):
            change = AugmentedSound(Sounds(1), ("shift", "noise"), seed, epoch, noise).change(index, length)
            place = {"seed": str(seed), "epoch": epoch, "index": index, "length": length, "noises": noise.shape[0]}
            yield {**place, **asdict(change)}


def _sounds() -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(5)
    for later, turn, level in ((0, 0, 0.0), (3, 5, 0.1), (-4, 29, 0.031), (29, 1, 0.5), (0, 7, 0.25), (-1, 2, 1.0)):
        # Even ones, a quarter of which lies in the middle of two whole numbers.
        sound, noise = (2 * random.integers(-(2**14), 2**14, 30, np.int16) for _ in range(2))
        mixed = with_noise(moved(sound, later), np.roll(noise, -turn), level)
        how = {"later": later, "turn": turn, "level": level}
        yield {"sound": sound.tolist(), "noise": noise.tolist(), **how, "changed": mixed.tolist()}


def _dropout() -> Iterator[dict[str, Any]]:
    for name, step in product(("dropout", "node_native_dropout_3"), (1, 2, 64_000)):
        drawn = _uniform(name, 16, step)
        yield {"node": name, "step": step, "uniform": [float(value) for value in drawn]}


def _uniform(name: str, count: int, step: int) -> Any:
    """What a graph draws for the elements of a vector, from 0 to 1."""
    shape = helper.make_tensor_value_info("shape", TensorProto.INT64, [1])
    node = helper.make_node("CounterUniform", ["shape"], ["drawn"], name=name, domain="train_on_device")
    drawn = helper.make_tensor_value_info("drawn", TensorProto.FLOAT, ["N"])
    g = Graph()
    give_step(g, g.name(STEP))
    graph = helper.make_graph([node], "draws", [shape], [drawn])
    values = lower(helper.make_model(graph), g, {"shape": g.name("shape")}, {})
    g.publish({"out": values["drawn"]})
    number = helper.make_tensor_value_info(STEP, TensorProto.INT64, [])
    model = g.model("draws", [shape, number], [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N"])])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["out"], {"shape": np.array([count]), STEP: np.array(step, np.int64)})[0]


def _rates() -> Iterator[dict[str, Any]]:
    for schedule, warmup, step in product(("constant", "step", "cosine"), (0, 5), (1, 3, 5, 6, 21, 40, 60, 99)):
        plan = {"base": 0.003, "schedule": schedule, "cycles": 60, "warmup": warmup}
        rate = learning_rate_at(step, base=0.003, schedule=schedule, cycles=60, warmup=warmup)
        yield {"step": step, **plan, "rate": rate}


def _numbers() -> list[float]:
    given = [0.0, 1.0, -1.0, 100.0, 0.1, 2.3026018142700195, 0.97055, 123456.0, 123456.7, 999999.5, 1e6, 1234567.0]
    given += [1e-4, 1e-5, 0.00012345678, 9.9999951e-5, 1e-30, 1.5e300, 0.5, 2 / 3]
    return [*given, *np.random.default_rng(2).lognormal(0, 6, 30).tolist()]


def _probabilities() -> Iterator[dict[str, Any]]:
    logits = np.random.default_rng(3).normal(0, 4, (4, 5)).astype(np.float32)
    for how, row in product(("softmax", "sigmoid", "clip"), logits):
        yield {"how": how, "logits": row.tolist(), "largest": float(probabilities_of(row[None], how).max())}


def _scores() -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(1)
    targets = [
        Target("class", 3),
        Target("class", 10),
        Target("class", 4, (2, 3), ignore=-100),
        Target("labels", 3, (3,)),
        Target("values", 2, (2,)),
    ]
    for target in targets:
        scores, batches = scores_of(target), []
        for count in (8, 8, 3):
            # Rounded, so that some are equal.
            outputs = random.normal(0, 1, (count, *target.output)).round(1).astype(np.float32)
            wanted = drawn_targets(target, count, random)
            if target.ignore is not None:
                wanted.reshape(-1)[::4] = target.ignore
            scores.add(outputs, wanted)
            batches.append({"outputs": outputs.ravel().tolist(), "targets": wanted.ravel().tolist()})
        kind = {"kind": target.kind, "count": target.count, "shape": list(target.shape), "ignore": target.ignore}
        yield {"target": kind, "batches": batches, "measures": dict(scores.result()), "each": list(scores.each())}


def _classes() -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(6)
    known = ("cat", "dog\tand\u2028more", "Käse 犬", "a name of more than forty characters " * 2, "a\u00a0b")
    for measure, count in (("f1", 3), ("f1", 5), ("r2", 12), ("f1", 13), ("r2", 40)):
        # A model may have more outputs than there are classes.
        names = [*known, *(f"class {place}" for place in range(5, 50))][: 4 if count == 5 else count]
        values = random.uniform(-0.2 if measure == "r2" else 0, 1, count).round(4).tolist()
        each = [{measure: value, "count": int(random.integers(0, 4))} for value in values]
        yield {"names": names, "each": each, "line": each_line(names, each)}


def main() -> None:
    """Writes the files."""
    for name, content in vectors().items():
        (FOLDER / name).write_text(text_of(content))


if __name__ == "__main__":
    main()
