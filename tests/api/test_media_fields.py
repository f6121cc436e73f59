"""What a field that takes a URL takes of files, and how it says so."""

from __future__ import annotations

import pickle
from pathlib import Path, PurePosixPath

import pytest
from samples import SAMPLES, boxed, jpeg, png, webp

from kling_async.api.fields import Field, FileType, Format, ListOf, Object, OneOf, Problem, Text, Url, refusal, show
from kling_async.api.media import LocalFile

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
    (EDGE, "data:image/png;base64," + "A" * 200),
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
    (EDGE, "data:image/png;base64," + "A" * 400),
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
    assert spec.read({"prompt": uri, "images": uri, "else": uri}) == {"prompt": uri, "images": path, "else": uri}
    assert spec.read({"images": [uri, 5], "elements": [{"video_url": uri}, None]}) == {
        "images": [path, 5],
        "elements": [{"video_url": path}, None],
    }
    assert spec.read("no object") == "no object"
