"""Any image becomes the right 224×224 RGB pixels, or an error that says why it cannot."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from pipeline.datasets.photographs.photograph import (
    PHOTOGRAPH,
    BrokenImageError,
    MissingDecoderError,
    load_photograph,
    read_photograph,
)
from tests.pipeline.datasets.image_files import write_heic

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def smooth(width: int, height: int) -> Image.Image:
    """A picture whose every part looks different: red grows to the right, green downwards."""
    across, down = np.linspace(0, 255, width), np.linspace(0, 255, height)
    red, green = np.broadcast_to(across, (height, width)), np.broadcast_to(down[:, None], (height, width))
    blue = (red.astype(int) ^ green.astype(int)) % 64
    return Image.fromarray(np.stack([red, green, blue], -1).astype(np.uint8))


def plainly(image: Image.Image) -> Pixels:
    """Resize of the whole, then crop: what load_photograph does in one."""
    shorter = min(image.size)
    wide, high = (256 * side // shorter for side in image.size)
    left, top = (wide - 224) // 2, (high - 224) // 2
    resized = image.convert("RGB").resize((wide, high), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + 224, top + 224)))


def difference(one: Pixels, other: Pixels) -> int:
    assert one.shape == other.shape == (224, 224, 3)
    assert one.dtype == other.dtype == np.uint8
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("size", [(224, 224), (256, 256), (200, 200), (640, 480), (333, 1001), (31, 17), (900, 225)])
def test_it_is_the_centre_of_the_resized_image(tmp_path: Path, size: tuple[int, int]) -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8))
    image.save(tmp_path / "a.png")
    assert difference(load_photograph(tmp_path / "a.png"), plainly(image)) <= 1


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "gif", "tif", "avif", "ppm", "jp2", "tga"])
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    image = smooth(300, 280)
    image.save(tmp_path / f"a.{suffix}")
    assert np.abs(load_photograph(tmp_path / f"a.{suffix}").astype(int) - plainly(image)).mean() < 12


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    image = smooth(300, 280).convert(mode)
    image.save(tmp_path / "a.png")
    assert difference(load_photograph(tmp_path / "a.png"), plainly(image)) <= 1


@pytest.mark.parametrize("ink", [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 0, 255)])
def test_cmyk_has_the_colours_of_its_inks(tmp_path: Path, ink: tuple[int, int, int, int]) -> None:
    Image.new("CMYK", (64, 64), ink).save(tmp_path / "a.jpg")
    expected = [255 - min(255, part + ink[3]) for part in ink[:3]]
    assert np.abs(load_photograph(tmp_path / "a.jpg").astype(int) - expected).max() <= 4


FORMATS_WITH_ALPHA = [("RGBA", "png"), ("LA", "png"), ("RGBA", "webp"), ("RGBA", "tif"), ("PA", "tif"), ("LA", "tif")]


@pytest.mark.parametrize(("mode", "suffix"), FORMATS_WITH_ALPHA)
def test_strokes_on_nothing_stand_on_white_or_the_background(mode: str, suffix: str, tmp_path: Path) -> None:
    image = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (100, 0, 200, 300))
    image.convert(mode).save(tmp_path / f"a.{suffix}", lossless=True)
    for background in ((255, 255, 255), (255, 128, 0)):
        photograph = read_photograph(tmp_path / f"a.{suffix}", replace(PHOTOGRAPH, background=background))
        assert photograph.transparent
        assert np.all(photograph.pixels[:, 112] == 0)
        assert np.all(photograph.pixels[:, 5] == background)


def test_half_transparent_pixels_are_mixed_with_the_background(tmp_path: Path) -> None:
    random = np.random.default_rng(1).integers(0, 256, (260, 240, 4), np.uint8)
    image = Image.fromarray(random, "RGBA")
    image.save(tmp_path / "a.png")
    whole = Image.alpha_composite(Image.new("RGBA", image.size, (10, 200, 90, 255)), image).convert("RGB")
    assert (
        difference(load_photograph(tmp_path / "a.png", replace(PHOTOGRAPH, background=(10, 200, 90))), plainly(whole))
        <= 1
    )


KEYS: dict[str, int | tuple[int, int, int]] = {"L": 30, "RGB": (10, 20, 30), "P": 3, "I;16": 300}


@pytest.mark.parametrize("mode", KEYS)
def test_a_colour_that_stands_for_nothing_shows_the_background(mode: str, tmp_path: Path) -> None:
    image = Image.new("L" if mode == "I;16" else mode, (60, 60), KEYS[mode] if mode != "I;16" else 0)
    if mode == "I;16":
        image = Image.fromarray(np.full((60, 60), 300, np.uint16))
    if mode == "P":
        image.putpalette(range(12))
    image.save(tmp_path / "a.png", transparency=KEYS[mode])
    assert np.all(load_photograph(tmp_path / "a.png") == 255)


def test_the_first_frame_of_an_animation_with_holes_stands_on_white(tmp_path: Path) -> None:
    frame = Image.new("P", (60, 60), 1)
    frame.putpalette([9, 9, 9, 200, 0, 0])
    frame.paste(0, (0, 0, 30, 60))
    frame.save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("P", (60, 60), 1)], transparency=0)
    pixels = load_photograph(tmp_path / "a.gif")
    assert np.all(pixels[:, 20] == 255)
    assert np.all(pixels[:, -20] == [200, 0, 0])


def test_an_opaque_image_with_an_alpha_channel_is_not_transparent(tmp_path: Path) -> None:
    Image.new("RGBA", (60, 60), (1, 2, 3, 255)).save(tmp_path / "a.png")
    assert not read_photograph(tmp_path / "a.png").transparent


FLOATS = {
    "of a share": ([0.0, 0.5, 1.0], [0, 128, 255]),
    "of a share, dark": ([0.0, 0.2, 0.1], [0, 51, 26]),
    "of any range": ([-1000.0, 0.0, 3000.0], [0, 64, 255]),
    "of a share, with what is no number": ([np.nan, 0.5, np.inf], [0, 128, 255]),
    "with holes": ([np.nan, -1.0, 3.0], [0, 0, 255]),
}


@pytest.mark.parametrize("name", FLOATS)
def test_floats_are_scaled_by_their_range(name: str, tmp_path: Path) -> None:
    numbers, expected = FLOATS[name]
    rows = np.repeat(np.array(numbers, np.float32), 100)[:, None].repeat(224, axis=1)
    Image.fromarray(rows).save(tmp_path / "a.tif")
    pixels = load_photograph(tmp_path / "a.tif")
    shown = [int(pixels[row, 100, 0]) for row in (5, 112, -6)]
    assert np.abs(np.array(shown) - expected).max() <= 1


def test_floats_without_a_number_are_broken(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), np.nan, np.float32)).save(tmp_path / "a.tif")
    assert "holds no number" in refusal(tmp_path / "a.tif")


def test_whole_numbers_of_32_bits_are_scaled_from_the_least_to_the_largest(tmp_path: Path) -> None:
    numbers = np.repeat(np.array([-5, 100_000, 200_005], np.int32), 100)[:, None].repeat(224, axis=1)
    Image.fromarray(numbers).save(tmp_path / "a.tif")
    pixels = load_photograph(tmp_path / "a.tif")
    assert [int(pixels[row, 9, 0]) for row in (5, 112, -6)] == [0, 128, 255]


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm", "jp2"])
def test_sixteen_bits_are_scaled_in_every_format(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(np.full((60, 60), 32768, np.uint16)).save(tmp_path / f"a.{suffix}")
    assert np.all(load_photograph(tmp_path / f"a.{suffix}") == 128)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB"])
def test_tiffs_of_every_mode_become_rgb(mode: str, tmp_path: Path) -> None:
    Image.new("L", (60, 60), 255).convert("RGB").convert(mode if mode != "LAB" else "RGB").save(tmp_path / "a.tif")
    if mode == "LAB":
        Image.merge("LAB", [Image.new("L", (60, 60), value) for value in (255, 128, 128)]).save(tmp_path / "a.tif")
    assert load_photograph(tmp_path / "a.tif").min() >= 250


def test_of_several_pages_the_first_is_taken(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (60, 60), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert np.all(load_photograph(tmp_path / "a.tif") == [255, 0, 0])


@pytest.mark.parametrize("suffix", ["tif", "avif", "webp"])
def test_the_exif_orientation_of_other_formats_is_obeyed_once(suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = smooth(320, 260)
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / f"a.{suffix}", exif=exif, quality=95)
    assert difference(load_photograph(tmp_path / f"a.{suffix}"), plainly(upright)) <= 40


def test_heic_is_read_where_pillow_heif_is_whatever_the_suffix_says(tmp_path: Path) -> None:
    write_heic(tmp_path / "a.jpg", (200, 40, 90))
    pixels = load_photograph(tmp_path / "a.jpg").astype(int)
    assert np.abs(pixels - [200, 40, 90]).max() < 8


def test_heic_without_pillow_heif_is_whole_but_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_heic(tmp_path / "a.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingDecoderError, match="pip install pillow-heif"):
        load_photograph(tmp_path / "a.heic")


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    assert refusal(tmp_path / "a.jpg") == "is a folder"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert refusal(tmp_path / "a.jpg") == "is a pipe or a device, no file"


@pytest.mark.parametrize(("stored", "expected"), [(0, 0), (257, 1), (32768, 128), (65535, 255), (300, 1)])
def test_sixteen_bits_of_grey_are_scaled_not_cut(tmp_path: Path, stored: int, expected: int) -> None:
    Image.fromarray(np.full((40, 50), stored, np.uint16)).save(tmp_path / "a.png")
    assert np.all(load_photograph(tmp_path / "a.png") == expected)


def test_sixteen_bits_of_colour_are_scaled_not_cut(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" + struct.pack(">3H", 65535, 32896, 0) * 8
    header = struct.pack(">2I5B", 8, 8, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * 8)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    assert np.all(load_photograph(tmp_path / "a.png") == [255, 128, 0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_obeyed(tmp_path: Path, orientation: int) -> None:
    transpose = Image.Transpose
    # What a camera does to the upright picture, so that the tag undoes it.
    stored = {
        2: transpose.FLIP_LEFT_RIGHT,
        3: transpose.ROTATE_180,
        4: transpose.FLIP_TOP_BOTTOM,
        5: transpose.TRANSPOSE,
        6: transpose.ROTATE_90,
        7: transpose.TRANSVERSE,
        8: transpose.ROTATE_270,
    }
    upright = smooth(320, 260)
    turned = upright.transpose(stored[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned.save(tmp_path / "a.png", exif=exif)
    assert difference(load_photograph(tmp_path / "a.png"), plainly(upright)) <= 2
    turned.save(tmp_path / "a.jpg", quality=98, subsampling=0, exif=exif)
    assert difference(load_photograph(tmp_path / "a.jpg"), plainly(upright)) <= 24


def test_a_damaged_exif_record_does_not_cost_the_picture(tmp_path: Path) -> None:
    image = smooth(260, 260)
    image.save(tmp_path / "a.png", exif=b"Exif\0\0garbage, not a record")
    assert difference(load_photograph(tmp_path / "a.png"), plainly(image)) <= 1


def test_nothing_is_warned_of_that_nobody_could_act_on(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40), np.uint8)).convert("P")
    image.save(tmp_path / "a.png", transparency=bytes(range(256)))
    load_photograph(tmp_path / "a.png")
    image.convert("RGB").save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\xff")
    load_photograph(tmp_path / "a.jpg")
    assert not recwarn.list


def test_a_cameras_file_of_several_pictures_gives_the_first_quickly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = smooth(4200, 2600)
    image.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[image.rotate(180)], quality=95)
    with Image.open(tmp_path / "a.jpg") as opened:
        assert opened.format == "MPO"
    assert difference(load_photograph(tmp_path / "a.jpg"), plainly(image)) <= 10
    drafts: list[object] = []
    monkeypatch.setattr(JpegImageFile, "draft", lambda self, mode, size: drafts.append(size))
    load_photograph(tmp_path / "a.jpg")
    assert len(drafts) == 1


@pytest.mark.parametrize("suffix", ["gif", "jpg"])
def test_an_animation_gives_its_first_frame(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "a.gif").rename(tmp_path / f"b.{suffix}")
    assert np.all(load_photograph(tmp_path / f"b.{suffix}") == [255, 0, 0])


def test_one_pixel_fills_the_image(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "a.png")
    assert np.all(load_photograph(tmp_path / "a.png") == [1, 2, 3])


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (20_000, 50)])
def test_a_long_thin_image_gives_its_middle(tmp_path: Path, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (255, 0, 0))
    middle = (size[0] // 2 - 30, size[1] // 2 - 30, size[0] // 2 + 30, size[1] // 2 + 30)
    image.paste((0, 0, 255), middle)
    image.save(tmp_path / "a.png")
    assert np.all(load_photograph(tmp_path / "a.png") == [0, 0, 255])


def test_a_large_jpeg_decoded_at_a_fraction_looks_the_same(tmp_path: Path) -> None:
    image = smooth(4200, 2600)
    image.save(tmp_path / "a.jpg", quality=95)
    assert difference(load_photograph(tmp_path / "a.jpg"), plainly(image)) <= 10


def refusal(path: Path) -> str:
    with pytest.raises(BrokenImageError) as caught:
        load_photograph(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    assert refusal(tmp_path / "a.jpg") == "is empty"


def test_renamed_text_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("not a picture at all\n" * 50)
    assert refusal(tmp_path / "a.jpg").startswith("is no JPEG")


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a.jpg") == "is missing"


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "gif"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_file_cut_short_is_broken_in_every_format(tmp_path: Path, suffix: str, part: float) -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8))
    path = tmp_path / f"a.{suffix}"
    image.save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    assert refusal(path)


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    header = (
        b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 30_000, 30_000, 1, 24, *[0] * 6)
    )
    (tmp_path / "a.bmp").write_bytes(header)
    assert "pixels" in refusal(tmp_path / "a.bmp")


@pytest.mark.parametrize(
    ("mode", "side", "suffix"),
    [("RGBA", 9_000, "png"), ("I;16", 9_000, "png"), ("F", 5_500, "tif"), ("RGB", 8_000, "webp")],
)
def test_a_small_file_that_would_unfold_to_more_than_a_gib_is_refused_before_it_does(
    tmp_path: Path, mode: str, side: int, suffix: str
) -> None:
    # In a process of its own: making it takes the memory that reading it must not.
    make = f"from PIL import Image; Image.new({mode!r}, ({side}, {side})).save({str(tmp_path / f'a.{suffix}')!r}"
    more = ", compression='tiff_deflate')" if suffix == "tif" else ")"
    subprocess.run([sys.executable, "-c", make + more], check=True, timeout=60)
    assert (tmp_path / f"a.{suffix}").stat().st_size < 2**21
    started = time.monotonic()
    assert "whose decoding would take more than 1 GiB of memory" in refusal(tmp_path / f"a.{suffix}")
    assert time.monotonic() - started < 1
