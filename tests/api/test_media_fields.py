"""What a field that takes a URL takes of files, and how it says so."""

from __future__ import annotations

import pickle
from base64 import b64encode, encodebytes
from pathlib import Path, PurePosixPath
from urllib.parse import quote_from_bytes

import pytest
from samples import SAMPLES, boxed, data_uri, jpeg, png, webp

from kling_async.api.catalogue.problems import Problem, refusal
from kling_async.api.catalogue.spec import Field, ListOf, Object, OneOf, Text, Url, read
from kling_async.api.file_types import FileType, Format
from kling_async.api.media import LocalFile
from kling_async.api.reprs import show

MB = 1024 * 1024
IMAGE, AUDIO, VIDEO = Url(FileType.IMAGE), Url(FileType.AUDIO), Url(FileType.VIDEO)
FRAME = Url(FileType.IMAGE, formats=(Format.JPEG, Format.PNG), shortest=300, steepest=2.5)
EDGE = Url(FileType.IMAGE, largest=100)


def of(path: str, content: bytes) -> LocalFile:
    """A file that was read."""
    return LocalFile(path, len(content), content)


FITTING = [
    *((Url(), content) for content in SAMPLES.values()),
    *((Url(known.file), content) for known, content in SAMPLES.items()),
    (IMAGE, Path("cat.png")),
    (IMAGE, Path("/a.b/CAT.JPEG")),
    (IMAGE, PurePosixPath("cat")),
    (Url(), Path("cat.mov")),
    (AUDIO, boxed(b"isom")),
    (AUDIO, Path("voice.m4a")),
    (AUDIO, Path("voice.mp4")),
    (IMAGE, LocalFile("cat.png", 50 * MB)),
    (AUDIO, LocalFile("cat.mp3", 5 * MB)),
    (VIDEO, LocalFile("cat.mp4", 200 * MB)),
    (IMAGE, of("cat.png", jpeg())),  # a wrong ending of a right kind
    (EDGE, png(size=100)),
    (FRAME, png(300, 750)),
    (FRAME, jpeg(750, 300)),
    (Url(AUDIO.file, loose=True), "a text"),
    (EDGE, data_uri(png(size=100))),
    (EDGE, data_uri(png(size=99)).replace("=", "%3D")),
    (EDGE, "data:image/png," + quote_from_bytes(png(size=100))),
    (EDGE, "DATA:application/octet-stream;name=a;base64," + b64encode(png()).decode()),
    (IMAGE, "data:image/png;base64," + encodebytes(png(size=500)).decode()),
    (IMAGE, data_uri(jpeg(before=(b"\xff\xe1\xff\xff" + bytes(0xFFFD)) * 2))),
    (AUDIO, data_uri(SAMPLES[Format.M4A]).replace("audio/mp4", "video/mp4")),
]

UNFITTING = [
    *((Url(FileType.VIDEO if known.file is FileType.IMAGE else FileType.IMAGE), it) for known, it in SAMPLES.items()),
    (Url(), b""),
    (Url(), b"https://host/a"),
    (IMAGE, b"\xff\xd8\xff\xd9"),
    (IMAGE, Path("cat.txt")),
    (IMAGE, Path("cat.mp4")),
    (AUDIO, Path("voice.mov")),
    (IMAGE, LocalFile("cat.png", 0)),
    (IMAGE, LocalFile("cat.png", 50 * MB + 1)),
    (AUDIO, LocalFile("cat.mp3", 5 * MB + 1)),
    (VIDEO, LocalFile("cat.mp4", 200 * MB + 1)),
    (IMAGE, of("cat.png", b"<html>")),
    (EDGE, png(size=101)),
    (FRAME, webp(640, 480)),
    (FRAME, Path("cat.webp")),
    (FRAME, png(299, 400)),
    (FRAME, png(400, 299)),
    (FRAME, png(300, 751)),
    (FRAME, of("cat.jpg", jpeg(751, 300))),
    (IMAGE, "cat.png"),
    (EDGE, data_uri(png(size=101))),
    (EDGE, "data:image/png," + quote_from_bytes(png(size=101))),
    (IMAGE, "data:image/png;base64,"),
    (IMAGE, "data:image/png;base64"),
    (IMAGE, "data:image/png"),
    (IMAGE, "data:,"),
    (IMAGE, data_uri(png())[:-1]),
    (IMAGE, data_uri(png())[:-3]),
    (IMAGE, data_uri(png()[:20])),
    (IMAGE, "data:image/png;base64,not base64!!"),
    (IMAGE, "data:image/png;base64,é" + "A" * 99),
    (IMAGE, data_uri(png()).replace("image/png", "text/plain")),
    (IMAGE, data_uri(png()).replace("image/png", "video/mp4")),
    (IMAGE, data_uri(b"<!doctype html>").replace("application/octet-stream", "image/png")),
    (IMAGE, data_uri(boxed(b"heic")).replace("application/octet-stream", "image/jpeg")),
    (FRAME, data_uri(png(299, 400))),
    (IMAGE, b64encode(png(size=300)).decode()),
    (IMAGE, bytearray(png())),
    (IMAGE, None),
    (Url(AUDIO.file, loose=True), " "),
    (Url(AUDIO.file, loose=True), 5),
]


@pytest.mark.parametrize(("spec", "value"), FITTING)
def test_files_that_fit_are_taken(spec: Url, value: object) -> None:
    assert spec.problems(value, "image_url") == []


@pytest.mark.parametrize(("spec", "value"), UNFITTING)
def test_files_that_do_not_fit_are_one_problem(spec: Url, value: object) -> None:
    assert [problem.field for problem in spec.problems(value, "image_url")] == ["image_url"]


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        (IMAGE, "an http(s) URL, a data: URI, or a file as a Path or bytes (JPEG, PNG or WebP, at most 50 MB)"),
        (Url(AUDIO.file, loose=True), "any text, or a file as a Path or bytes (MP3, WAV, M4A or AAC, at most 5 MB)"),
        (
            FRAME,
            (
                "an http(s) URL, a data: URI, or a file as a Path or bytes"
                " (JPEG or PNG, at most 50 MB, at least 300 pixels a side, between 1:2.5 and 2.5:1)"
            ),
        ),
    ],
)
def test_a_field_says_which_files_it_takes(spec: Url, allowed: str) -> None:
    assert spec.allowed == allowed


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (png(200, 100), "<PNG of 200 x 100 pixels, 45 bytes>"),
        (b"x", "<1 byte>"),
        (bytes(1234), "<1,234 bytes>"),
        (SAMPLES[Format.MP3], "<MP3, 24 bytes>"),
        (Path("cat.gif"), "Path('cat.gif')"),
        (LocalFile("cat.png", 0), "'cat.png' (0 bytes)"),
        (of("cat.png", png(200, 100)), "'cat.png' (PNG of 200 x 100 pixels, 45 bytes)"),
        ([png(2, 1)], "[<PNG of 2 x 1 pixels, 45 bytes>]"),
        (b"\n<html>", "<HTML, 7 bytes>"),
        (boxed(b"heic"), "<HEIC, 24 bytes>"),
        (of("cat.jpg", boxed(b"avif")), "'cat.jpg' (AVIF, 24 bytes)"),
        (LocalFile("cat.png", 9_999_999, png(200, 100)), "'cat.png' (PNG of 200 x 100 pixels, 9,999,999 bytes)"),
        (data_uri(png(2, 1)), "<data:image/png;base64,… of PNG of 2 x 1 pixels, 45 bytes>"),
        ("data:image/png;base64,", "<data:image/png;base64,… of 0 bytes>"),
        ("data:text/plain,hello", "<data:text/plain,… of 5 bytes>"),
        (data_uri(png())[:-1], "<data:image/png;base64,… of no whole base64>"),
        ("data:" + "x" * 3_000_000, f"<data:{'x' * 55},… of no whole base64>"),
        (b64encode(png(size=2_000_000)).decode(), "<PNG in base64 without data:image/png;base64, before it>"),
        (b64encode(jpeg(size=90)).decode(), "<JPEG in base64 without data:image/jpeg;base64, before it>"),
    ],
)
def test_files_are_told_in_a_few_words(value: object, told: str) -> None:
    assert show(value) == told


def test_a_refusal_carries_words_about_a_file_and_not_the_file() -> None:
    problem = Problem("image_url", b"x" * 1_000_000, "less")
    error = pickle.loads(pickle.dumps(refusal([problem])))  # noqa: S301 - made here
    assert repr(error.value) == "<1,000,000 bytes>"
    assert str(error) == "image_url is <1,000,000 bytes>; allowed: less"
    assert len(pickle.dumps(error)) < 1000


@pytest.mark.parametrize(
    "value",
    [
        "x" * 3_000_000,
        b"x" * 3_000_000,
        ["x" * 3_000_000] * 5,
        {"x" * 3_000_000: {"y": ["x" * 3_000_000] * 9}},
        [[[[["x" * 99] * 9] * 9] * 9] * 9] * 9,
        Path("x" * 3_000_000),
        LocalFile("x" * 3_000_000, 5),
        10**5000,
        -(10**5000),
        dict.fromkeys(range(999), "x" * 999),
        type("Endless", (), {"__repr__": lambda _: "x" * 3_000_000})(),
        type("Broken", (), {"__repr__": lambda _: 1 / 0})(),
    ],
    ids=range(12),
)
def test_no_value_makes_a_message_long(value: object) -> None:
    assert 0 < len(show(value)) <= 400
    assert len(str(refusal([Problem("x" * 3_000_000, value, "less")]))) < 900
    assert not isinstance(value, str) or len(str(Problem("a", value, "b").value)) < 400


def test_a_path_that_is_none_is_a_problem_like_any_other() -> None:
    class Strange:
        def __fspath__(self) -> bytes:
            return b"cat.png"

    assert len(IMAGE.problems(Strange(), "image_url")) == 1


def test_only_fields_that_take_files_read_file_uris() -> None:
    spec = Object(
        {
            "prompt": Field(Text()),
            "images": Field(OneOf((IMAGE, ListOf(IMAGE)))),
            "elements": Field(ListOf(Object({"video_url": Field(VIDEO)}))),
        }
    )
    uri, path = Path("/a/cat 1.png").as_uri(), Path("/a/cat 1.png")
    assert read(spec, {"prompt": uri, "images": uri, "else": uri}) == {"prompt": uri, "images": path, "else": uri}
    assert read(spec, {"images": [uri, 5], "elements": [{"video_url": uri}, None]}) == {
        "images": [path, 5],
        "elements": [{"video_url": path}, None],
    }
    assert read(spec, "no object") == "no object"
