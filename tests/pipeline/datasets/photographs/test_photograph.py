"""Any image becomes the right 224×224 RGB pixels, or an error that says why it cannot."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from pipeline.datasets.photographs.photograph import BrokenImageError, load_photograph

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


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "gif"])
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


def test_transparency_leaves_the_stored_colours(tmp_path: Path) -> None:
    Image.new("RGBA", (30, 30), (10, 200, 30, 0)).save(tmp_path / "a.png")
    assert np.all(load_photograph(tmp_path / "a.png") == [10, 200, 30])


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
