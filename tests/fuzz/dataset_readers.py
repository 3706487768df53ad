"""What people give as data: IDX files, lists, tables, pictures, and names of any characters."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from hypothesis import strategies as st
from PIL import Image

from device_runtime.formats.errors import FormatError
from device_runtime.formats.paths import check_name, check_path
from pipeline.datasets.arrays.pickles import array_of, read_pickle
from pipeline.datasets.columns.encoding import encoded, fitted, read_columns
from pipeline.datasets.columns.reading import read_table as read_file
from pipeline.datasets.columns.roles import roles_of, splits_of
from pipeline.datasets.columns.target import target_of
from pipeline.datasets.layouts import cifar
from pipeline.datasets.layouts.idx import convert_idx, find_set
from pipeline.datasets.layouts.places import CATEGORIES, LABELS, find_places
from pipeline.datasets.layouts.table import NAME, find_table
from pipeline.datasets.photographs.listing import Listing
from pipeline.datasets.photographs.names import file_name
from pipeline.datasets.photographs.photograph import BrokenImageError, read_photograph
from pipeline.datasets.photographs.split import SHARES
from pipeline.datasets.recordings.listing import LISTS, find_sounds
from pipeline.datasets.recordings.reading import SECOND, BrokenRecordingError, read_recording
from pipeline.datasets.recordings.split import speaker_of, split_recordings
from pipeline.errors import DatasetError, UsageError, in_line
from pipeline.sources.model_source import plain_name
from tests.fuzz.mutations import NAMES, damaged, odd_lines
from tests.fuzz.readers import Reader
from tests.pipeline.datasets.cifar import NAMES_10, of_python_2

COUNT = 6
PIXELS = np.arange(COUNT * 16, dtype=np.uint8)
IDX = {
    "train-images-idx3-ubyte": struct.pack(">4I", 2051, COUNT, 4, 4) + PIXELS.tobytes(),
    "train-labels-idx1-ubyte": struct.pack(">2I", 2049, COUNT) + bytes([0, 1] * (COUNT // 2)),
}
MAPPING = b"0 65\n1 66 98\n2 67\n"


def read_idx(folder: Path, case: tuple[str, bytes, bool, bytes]) -> None:
    """Four IDX files, one of them damaged, and perhaps a mapping."""
    damaged_name, content, packed, mapping = case
    source = folder / "in"
    source.mkdir()
    prefix = "emnist-digits-" if mapping else ""
    for name, good in IDX.items():
        data = content if name == damaged_name else good
        suffix = ".gz" if packed else ""
        stored = gzip.compress(data, 1) if packed else data
        (source / f"{prefix}{name}{suffix}").write_bytes(stored)
        test = name.replace("train", "test" if mapping else "t10k")
        (source / f"{prefix}{test}").write_bytes(good)
    if mapping:
        (source / "emnist-digits-mapping.txt").write_bytes(mapping)
    known = find_set(source)
    assert known
    (folder / "out").mkdir()
    made = convert_idx(source, known, known.classes[:2], "made", folder / "out")
    for strips in made.description.splits.values():
        for strip in strips:
            check_path(strip.file)
            assert (folder / "out" / strip.file).is_file()


IDX_CASES = st.sampled_from(sorted(IDX)).flatmap(
    lambda name: st.tuples(st.just(name), damaged(IDX[name]), st.booleans(), st.one_of(st.just(b""), damaged(MAPPING)))
)


def read_gz(folder: Path, content: bytes) -> None:
    """IDX files of which one is a damaged .gz."""
    source = folder / "in"
    source.mkdir()
    for name, good in IDX.items():
        (source / name.replace("train", "t10k")).write_bytes(good)
    (source / "train-labels-idx1-ubyte").write_bytes(IDX["train-labels-idx1-ubyte"])
    (source / "train-images-idx3-ubyte.gz").write_bytes(content)
    known = find_set(source)
    assert known
    convert_idx(source, known, known.classes[:2], "made", None)


PIXELS_OF_CIFAR = np.arange(3072, dtype=np.uint16).astype(np.uint8)
NAMES_OF_CIFAR = of_python_2({"label_names": list(NAMES_10)})
BATCH_OF_CIFAR = of_python_2({"data": PIXELS_OF_CIFAR[None], "labels": [3]})
RECORD_OF_CIFAR = b"\3" + PIXELS_OF_CIFAR.tobytes()


def read_cifar(folder: Path, case: tuple[bool, bytes, bytes]) -> None:
    """CIFAR-10 of one image in each batch, of which the first and the names are damaged."""
    binary, names, batch = case
    known = cifar.SETS[0 if binary else 1]
    for file in (file for files in known.files.values() for file in files):
        (folder / file).write_bytes(RECORD_OF_CIFAR if binary else BATCH_OF_CIFAR)
    (folder / known.files["train"][0]).write_bytes(batch)
    (folder / known.names).write_bytes(names)
    found = cifar.find_set(folder)
    assert found == known
    classes = cifar.read_names(folder, known)
    (folder / "out").mkdir()
    made = cifar.convert_cifar(folder, known, classes, classes[:4], "made", folder / "out")
    assert made.description.sample.shape == (32, 32, 3)


CIFAR_CASES = st.one_of(
    st.tuples(st.just(True), st.just("\n".join(NAMES_10).encode()), damaged(RECORD_OF_CIFAR)),
    st.tuples(st.just(True), damaged("\n".join(NAMES_10).encode()), st.just(RECORD_OF_CIFAR)),
    st.tuples(st.just(False), st.just(NAMES_OF_CIFAR), damaged(BATCH_OF_CIFAR)),
    st.tuples(st.just(False), damaged(NAMES_OF_CIFAR), st.just(BATCH_OF_CIFAR)),
)


def read_pickled(folder: Path, content: bytes) -> None:
    """A pickle of lists and arrays."""
    (folder / "a").write_bytes(content)
    found = read_pickle(folder / "a")
    for value in found if isinstance(found, list) else [found]:
        assert array_of(value, folder / "a").dtype.kind in "biuf"


PICKLED = [
    of_python_2([np.arange(6, dtype=np.int16).reshape(2, 3)]),
    *(pickle.dumps([np.arange(4, dtype=np.float32)], protocol) for protocol in (3, 4, 5)),
    b"cbuiltins\neval\n(S'1'\ntR.",
]


def read_file_of_rows(folder: Path, case: tuple[str, str, bytes]) -> None:
    """A table whose rows are samples."""
    text, encoding, whole = case
    path = folder / "a.csv"
    path.write_bytes(whole or text.encode(encoding, errors="replace"))
    table = read_file(path)
    roles = roles_of(path, table.column_names, None, None)
    target = target_of(path, roles.target, table[roles.target])
    rows = np.arange(table.num_rows)
    if roles.split:
        rows = np.flatnonzero(splits_of(path, table[roles.split]) == "train")
    columns = read_columns(path, table, roles.features)
    made = encoded(columns, fitted(path, roles.target, columns, rows, "one_hot"), rows)
    assert len(target.y) == table.num_rows >= len(made)


ROWS = ("size,colour,new,split,y", "1.5,red,true,train,cat", "2,blue,,val,dog", '-3e4,"a,b",false,test,cat')
ROW_WORDS = ("nan", "inf", "1e999", "2020-01-01", "train", '"', "?", "", "9" * 40, "ü", "true", "class")


def within(folder: Path, listing: Listing | None) -> None:
    """Every image lies in the folder, and gets a place in the dataset."""
    for image in listing.images if listing else ():
        assert ".." not in image.path.relative_to(folder).parts
        check_path(file_name("train", listing.folder(image.label) if listing else "", image.name))
    for line in listing.told if listing else ():
        assert line.isprintable()


def read_places(folder: Path, case: tuple[str, str]) -> None:
    """Places' two lists."""
    (folder / "val_256").mkdir()
    for number in range(3):
        (folder / "val_256" / f"{number}.jpg").touch()
    for name, text in zip((LABELS, CATEGORIES), case, strict=True):
        (folder / name).write_bytes(text.encode(errors="surrogatepass"))
    within(folder, find_places(folder))


def read_table(folder: Path, case: tuple[str, str, bytes]) -> None:
    """A table of labels, in some encoding, or damaged."""
    text, encoding, whole = case
    (folder / "images").mkdir()
    for number in range(3):
        (folder / "images" / f"{number}.png").touch()
    (folder / NAME).write_bytes(whole or text.encode(encoding, errors="replace"))
    within(folder, find_table(folder))


TABLE_ROWS = ("file,label,split", "0.png,dog,train", "images/1.png,cat,test", '"2",dog,val')
TABLE_WORDS = ("0.png", "images/0.png", "dog", "cat", "train", '"', "'", "C:/x.png", "\\\\x\\y.png")


def pictures() -> dict[str, bytes]:
    """A small picture in every format."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 4), np.uint8)
    found: dict[str, bytes] = {}
    for kind in ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "AVIF", "PPM", "JPEG2000", "TGA"):
        buffer = io.BytesIO()
        alpha = kind in ("PNG", "WEBP", "TIFF", "GIF", "TGA")
        Image.fromarray(noise if alpha else noise[..., :3]).save(buffer, kind)
        found[kind] = buffer.getvalue()
    for kind, options in (
        ("PNG", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_deflate"}),
    ):
        buffer = io.BytesIO()
        Image.fromarray(noise[..., 0].astype(np.uint16) * 257).save(buffer, kind, **options)
        found[f"{kind} of 16 bits {options}"] = buffer.getvalue()
    buffer = io.BytesIO()
    Image.fromarray(noise[..., :3]).save(
        buffer,
        "JPEG",
        progressive=True,
        exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    )
    found["progressive JPEG"] = buffer.getvalue()
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(noise[..., :3])).save(buffer)
    found["HEIC"] = buffer.getvalue()
    return found


def read_picture(folder: Path, content: bytes) -> None:
    """A picture."""
    path = folder / ("a.tga" if content[:3] == b"\0\0\2" else "a.png")
    path.write_bytes(content)
    try:
        found = read_photograph(path)
    except BrokenImageError as error:
        assert in_line(str(error)).isprintable()
        raise
    assert found.pixels.shape == (224, 224, 3)
    assert found.pixels.dtype == np.uint8


def read_names(folder: Path, case: tuple[str, Sequence[str], str]) -> None:
    """Names of classes, files and models become plain ones."""
    class_name, parts, model = case
    check_path(file_name("train", class_name, "/".join(parts)))
    check_name(plain_name(model))
    assert plain_name(model).isascii()
    assert in_line(model).isprintable()


# What a file system can say: bytes that are no UTF-8 as Python reads them.
ANY_NAME = st.one_of(
    st.binary(min_size=1, max_size=300).map(
        lambda name: name.replace(b"/", b"").replace(b"\0", b"").decode(errors="surrogateescape")
    ),
    st.sampled_from([name for name in NAMES if name and "\ud800" not in name and "/" not in name]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=80),
).filter(bool)

LISTED = ("go/a_nohash_0.wav", "go/b_nohash_0.wav", "no/a_nohash_0.wav")
LIST_WORDS = ("go/", "..", "/", "no\\a_nohash_0.wav", "\0", "up/x.wav", "9" * 5000)


def recordings() -> dict[str, bytes]:
    """A few samples in each format that says much in its header, by their suffixes."""
    sound = np.arange(300, dtype=np.int16).reshape(-1, 2) * 50
    found: dict[str, bytes] = {}
    for suffix in ("wav", "flac", "aiff", "ogg"):
        content = io.BytesIO()
        soundfile.write(content, sound, 8000, format=suffix)
        found[suffix] = content.getvalue()
    return found


def read_sound(folder: Path, content: bytes) -> None:
    (folder / "a.wav").write_bytes(content)
    recording = read_recording(folder / "a.wav", 2)
    assert recording.seconds.dtype == np.int16
    assert recording.seconds.shape in ((1, SECOND), (2, SECOND))


def read_lists(folder: Path, texts: tuple[str, str]) -> None:
    for name in LISTED:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    for name, text in zip(LISTS, texts, strict=True):
        (folder / name).write_bytes(text.encode(errors="surrogatepass"))
    sounds = find_sounds(folder, ())
    assert sounds is not None
    splits = split_recordings(sounds.listing, 1)
    assert set(splits) <= set(SHARES)
    speakers = [speaker_of(image) for image in sounds.listing.images]
    assert len(set(zip(speakers, splits, strict=True))) == len(set(speakers))


PACKED = gzip.compress(IDX["train-images-idx3-ubyte"])

READERS = (
    Reader("IDX", IDX_CASES, read_idx, (DatasetError, UsageError, FormatError)),
    Reader("IDX in .gz", damaged(PACKED), read_gz, (DatasetError, UsageError, FormatError)),
    Reader(
        "Places' lists",
        st.tuples(
            odd_lines(("0.jpg 0", "1.jpg 1", "2.jpg 2"), ("0.jpg", "0", "1", "²", "٣", "9" * 5000), (" ", "\t", "")),
            odd_lines(("/a/abbey 0", "/b/bus/in 1", "c 2"), ("/a/..", "/", "/a/", "0", "1"), (" ", "\t", "")),
        ),
        read_places,
        (DatasetError, UsageError),
    ),
    Reader(
        "labels.csv",
        st.tuples(
            odd_lines(TABLE_ROWS, TABLE_WORDS, (",", ";", "\t", ", ")),
            st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "latin-1")),
            st.one_of(st.just(b""), st.just(b""), damaged("\n".join(TABLE_ROWS).encode())),
        ),
        read_table,
        (DatasetError, UsageError),
    ),
    Reader(
        "recordings",
        st.one_of([damaged(content) for content in recordings().values()]),
        read_sound,
        (BrokenRecordingError,),
        0.5,
    ),
    Reader(
        "lists of recordings",
        st.tuples(*(odd_lines(names, LIST_WORDS, ("/",)) for names in (LISTED[:1], LISTED[1:]))),
        read_lists,
        (DatasetError,),
    ),
    Reader("CIFAR", CIFAR_CASES, read_cifar, (DatasetError, UsageError)),
    Reader("pickles", st.sampled_from(PICKLED).flatmap(damaged), read_pickled, (DatasetError,)),
    Reader(
        "tables",
        st.tuples(
            odd_lines(ROWS, ROW_WORDS, (",", ";", "\t", ", ")),
            st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "latin-1")),
            st.one_of(st.just(b""), damaged("\n".join(ROWS).encode())),
        ),
        read_file_of_rows,
        (DatasetError, UsageError),
    ),
    Reader(
        "pictures",
        st.one_of([damaged(content) for content in pictures().values()]),
        read_picture,
        (BrokenImageError,),
        0.5,
    ),
    Reader("names", st.tuples(ANY_NAME, st.lists(ANY_NAME, min_size=1, max_size=3), ANY_NAME), read_names, ()),
)
