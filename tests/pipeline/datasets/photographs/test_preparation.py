"""How a picture becomes pixels is kept with the dataset, and is obeyed for whatever size and colours it says."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from device_runtime.formats.errors import FormatError
from pipeline.datasets.convert import ConvertOptions, convert
from pipeline.datasets.photographs.photograph import PHOTOGRAPH, load_photograph
from pipeline.datasets.photographs.preparation import FILE_NAME, grey_of, parse_preparation, read_preparation, text_of
from tests.pipeline.datasets.image_files import write_folders


def test_the_conversion_keeps_it(tmp_path: Path) -> None:
    write_folders(tmp_path / "in")
    deep = np.full((9, 12), 3000, np.uint16)
    Image.fromarray(deep).save(tmp_path / "in" / "a" / "deep.png")
    folder = convert(tmp_path / "in", tmp_path / "build", ConvertOptions(background=(1, 2, 3)), workers=1)
    assert read_preparation(folder) == replace(PHOTOGRAPH, background=(1, 2, 3), white=4095)
    assert read_preparation(convert(None, tmp_path / "build")) == grey_of(28, 28)


def test_a_picture_of_the_models_own_size_stays_as_it_is(tmp_path: Path) -> None:
    for shape in ((28, 28), (20, 31)):
        noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        Image.fromarray(noise).save(tmp_path / "a.png")
        assert np.array_equal(load_photograph(tmp_path / "a.png", grey_of(*shape))[..., 0], noise)


def test_colours_become_grey_and_nothing_becomes_black(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (56, 28), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (28, 0, 56, 28))
    picture.save(tmp_path / "a.png")
    pixels = load_photograph(tmp_path / "a.png", grey_of(28, 28))
    assert pixels.shape == (28, 28, 1)
    assert np.all(pixels[:, :14] == 0)
    assert np.all(pixels[:, 14:] == 76)


@pytest.mark.parametrize("size", [(100, 37), (37, 100), (64, 64)], ids=str)
def test_the_middle_of_what_covers_the_size_is_cut_out(size: tuple[int, int], tmp_path: Path) -> None:
    picture = Image.radial_gradient("L").resize(size).convert("RGB")
    picture.save(tmp_path / "a.png")
    pixels = load_photograph(
        tmp_path / "a.png", replace(PHOTOGRAPH, height=10, width=24, resize_height=16, resize_width=32)
    )
    scale = max(32 / size[0], 16 / size[1])
    whole = picture.resize([int(side * scale + 1e-6) for side in size], Image.Resampling.BILINEAR)
    left, top = (whole.width - 24) // 2, (whole.height - 10) // 2
    cut = np.asarray(whole.crop((left, top, left + 24, top + 10)))
    assert pixels.shape == (10, 24, 3)
    assert np.abs(pixels.astype(int) - cut).max() <= 1


def test_its_text_comes_back() -> None:
    for preparation in (grey_of(3, 7), replace(PHOTOGRAPH, white=1023)):
        assert parse_preparation(text_of(preparation)) == preparation


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"height": 0}, "pictures of"),
        ({"width": 2**20, "resize_width": 2**20}, "pictures of"),
        ({"mode": "CMYK"}, "pictures of"),
        ({"height": 257}, "larger than the picture"),
        ({"background": [1, 2]}, "its colours are none"),
        ({"background": [1, 2, 256]}, "its colours are none"),
        ({"white": 0}, "its colours are none"),
        ({"layout": "NCHW"}, "layout is NCHW, which this program does not know"),
        ({"filter": None}, "filter is of type NoneType"),
    ],
)
def test_what_cannot_be_meant_is_refused(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps(asdict(PHOTOGRAPH) | changed))
    with pytest.raises(FormatError, match=message):
        read_preparation(tmp_path)


def test_a_missing_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"preparation.json: .*; convert the dataset again"):
        read_preparation(tmp_path)
