"""A table the whole way, as a user trains on it, and CIFAR's files with the model that is there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from device_runtime.formats.dataset import load_dataset
from pipeline.datasets.columns.encoding import read_encoding
from tests.emulator.device import EmulatedDevice
from tests.emulator.training import losses_on
from tests.invoking import Invoked, invoke, losses
from tests.pipeline.datasets.cifar import write_binary_10
from tests.pipeline.datasets.tables import write_csv, write_parquet

MLP = """
import torch
from torch import nn


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.district, self.balcony = nn.Embedding(4, 3), nn.Embedding(3, 2)
        self.out = nn.Sequential(nn.Linear(7, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, row):
        district, balcony = row[:, 2].long(), row[:, 3].long()
        return self.out(torch.cat([row[:, :2], self.district(district), self.balcony(balcony)], 1))


def embedded():
    return Embedded()


def price():
    return nn.Sequential(nn.Linear(7, 32), nn.ReLU(), nn.Linear(32, 1))


def kind():
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
"""


def flats(rows: int = 600) -> dict[str, list[object]]:
    """Mixed columns, some of them missing, and a price that follows from them but for a little noise."""
    random = np.random.default_rng(5)
    area = random.uniform(30, 120, rows)
    rooms = np.maximum(1, np.round(area / 28 + random.uniform(-0.7, 0.7, rows)))
    district = random.choice(["north", "south", "centre"], rows)
    balcony = random.random(rows) < 0.5
    worth = np.select([district == "north", district == "south"], [0.0, 1.0], 3.0) + 0.8 * balcony
    price = 3 + 0.05 * area + worth + 0.2 * random.standard_normal(rows)
    missing = random.random(rows) < 0.05
    return {
        "area": area.round(2).tolist(),
        "rooms": [None if gone else int(count) for gone, count in zip(missing, rooms, strict=True)],
        "district": district.tolist(),
        "balcony": balcony.tolist(),
        "price": price.round(3).tolist(),
        "kind": ["cheap" if value < 7 else "fair" if value < 9 else "dear" for value in price],
    }


def run(folder: Path, model: str, source: Path, *words: str, steps: int = 500) -> Invoked:
    (folder / "mlp.py").write_text(MLP)
    made_of = ("--model", folder / model, "--data", source, "--cycles", str(steps), "--learning-rate", "0.01")
    places = ("--build", folder / "build", "--runs", folder / "runs", "--threads", "1")
    done = invoke("run", *made_of, *places, *words)
    assert done.code == 0, done.stderr
    return done


def metadata(model: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(model).metadata_props}


def scores(done: Invoked, measure: str) -> list[float]:
    lines = (line for line in done.stdout.splitlines() if line.startswith(f"{measure} on validation data"))
    return [float(line.split(" = ")[1]) for line in lines]


@pytest.mark.slow
def test_a_regression_is_learnt_and_the_model_says_how_rows_become_its_numbers(tmp_path: Path) -> None:
    table = flats()
    del table["kind"]
    done = run(tmp_path, "mlp.py:price", write_csv(tmp_path / "flats.csv", table))
    before, after, _ = scores(done, "r2")
    assert before < 0 and after > 0.95
    assert "warning: the target is price, the last column: --target-column chooses another" in done.stderr
    assert "warning: missing numbers are the median of the training rows now: rooms " in done.stderr
    said = metadata(done.results / "price_trained.onnx")
    folder = next((tmp_path / "build").glob("dataset-*"))
    columns = json.loads(said["columns"])
    assert columns == json.loads((folder / "columns.json").read_text())
    assert json.loads(said["classes"]) == ["price"]
    # By what the model says alone, rows of the file come to what it learnt.
    made = np.zeros((50, 7), np.float32)
    for row in range(50):
        place = 0
        for column in columns["numbers"]:
            value = table[column["name"]][row]
            filled = column["median"] if value is None else value
            made[row, place] = (filled - column["mean"]) / column["std"]
            place += 1
        for column in columns["categories"]:
            value = str(table[column["name"]][row])
            made[row, place + column["values"].index(value if value not in ("True", "False") else value.lower())] = 1
            place += len(column["values"])
    (given,) = (session := ort.InferenceSession(done.results / "price_trained.onnx")).get_inputs()
    (answers,) = session.run(None, {given.name: made})[:1]
    assert np.abs(answers[:, 0] - np.array(table["price"][:50], np.float32)).mean() < 0.4
    assert read_encoding(folder).size == 7


@pytest.mark.slow
def test_categories_are_embedded_as_the_recipe_says(tmp_path: Path) -> None:
    table = flats()
    del table["kind"]
    (tmp_path / "recipe.py").write_text(
        "from mlp import embedded\nfrom pipeline.recipe import Preprocessing, Recipe\n\n"
        "RECIPE = Recipe(Preprocessing(1, 1), categories='embedded')\n"
    )
    done = run(tmp_path, "recipe.py:embedded", write_csv(tmp_path / "flats.csv", table))
    assert "categories are numbers from 0, for embeddings of so many: district 4, balcony 3" in done.stderr
    assert json.loads(metadata(done.results / "embedded_trained.onnx")["columns"])["form"] == "embedded"
    assert scores(done, "r2")[-1] > 0.95


@pytest.mark.slow
@pytest.mark.emulator
def test_a_few_steps_on_the_device(emulator: EmulatedDevice, tmp_path: Path) -> None:
    table = flats(200)
    del table["kind"]
    source = write_csv(tmp_path / "flats.csv", table)
    here = run(tmp_path, "mlp.py:price", source, steps=5)
    made_of = ("--model", f"{tmp_path / 'mlp.py'}:price", "--data", source)
    training = ("--cycles", "5", "--threads", "1", "--learning-rate", "0.01")
    there = losses_on(emulator, tmp_path / "build", made_of, training)
    np.testing.assert_allclose(there, losses(here.results), rtol=1e-4)


@pytest.mark.slow
def test_classes_are_learnt_from_parquet_by_the_column_that_is_chosen(tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "flats.parquet", flats())
    done = run(tmp_path, "mlp.py:kind", source, "--target-column", "kind")
    before, after, _ = scores(done, "accuracy")
    assert before < 0.7 and after > 0.9
    dataset = load_dataset(next((tmp_path / "build").glob("dataset-*")))
    assert dataset.classes == ("cheap", "dear", "fair")


@pytest.mark.slow
def test_cifar_trains_a_model_of_colours(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))\n"
    )
    source = write_binary_10(tmp_path / "cifar-10-batches-bin")
    places = ("--build", tmp_path / "build", "--runs", tmp_path / "runs", "--threads", "1", "--batch-size", "10")
    done = invoke("run", "--model", f"{tmp_path / 'net.py'}:build", "--data", source, "--cycles", "60", *places)
    assert done.code == 0, done.stderr
    assert "found 60 images of 10 classes: train 50, test 10" in done.stderr
    # Pictures of noise, which can only be remembered.
    steps = [json.loads(line) for line in (done.results / "metrics.jsonl").read_text().splitlines()]
    curve = [step["loss"] for step in steps if step["event"] == "step"]
    assert np.mean(curve[-5:]) < 0.3 * np.mean(curve[:5])
