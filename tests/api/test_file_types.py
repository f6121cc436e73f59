"""Files told by how they begin, and images by their size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples import SAMPLES, boxed, extended_webp, jpeg, lossless_webp, png, riff, tagged, webp

from kling_async.api.file_types import FileType, Format, ending, picture_size, recognised

if TYPE_CHECKING:
    from collections.abc import Callable

RECOGNISED = [
    *((content, known) for known, content in SAMPLES.items()),
    (b"\xff\xf3\x40\xc4", Format.MP3),  # MPEG 2
    (tagged(b"\xff\xfb\x90\x64"), Format.MP3),
    (tagged(b"\xff\xf9\x50\x80"), Format.AAC),
    (tagged(b"", 1 << 20), Format.MP3),  # nothing but its tag so far
    (b"ID3", Format.MP3),
    (b"ADIF\0\0", Format.AAC),
    (boxed(b"mp42"), Format.MP4),
    (boxed(b"M4B "), Format.M4A),
    (b"\0\0\0\x08wide\0\0\0\0mdat", Format.MOV),
    (b"\0\0\x10\0moov", Format.MOV),
]

UNRECOGNISED = [
    b"",
    b"\xff",
    b"\xff\xd8",
    b"GIF89a" + bytes(20),
    b"BM" + bytes(50),
    b"%PDF-1.7",
    b"<html><body>not found</body></html>",
    b'{"message": "expired"}',
    riff(b"AVI ", bytes(20)),
    boxed(b"avif"),
    boxed(b"heic"),
    b"\xff\xeb\x90\x64",  # a version of MPEG that does not exist
    b"\xff\xfd\x90\x64",  # layer II
    b"OggS" + bytes(20),
    b"data:image/png;base64,aGk=",
]


@pytest.mark.parametrize(("content", "known"), RECOGNISED)
def test_a_file_is_told_by_its_first_bytes(content: bytes, known: Format) -> None:
    assert recognised(content) is known


@pytest.mark.parametrize("content", UNRECOGNISED)
def test_what_the_vendor_does_not_take_is_not_recognised(content: bytes) -> None:
    assert recognised(content) is None
    assert picture_size(content) is None


def test_every_format_has_a_type_an_ending_and_a_media_type_of_that_type() -> None:
    endings = [name for known in Format for name in known.endings]
    assert len(endings) == len(set(endings))
    for known in Format:
        assert known.media_type.startswith(f"{known.file.value}/")
    assert {known.file for known in Format} == set(FileType)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/cat.PNG", ".png"),
        ("cat.tar.gz", ".gz"),
        ("/a.b/cat", ""),
        (r"C:\a.b\cat", ""),
        (".png", ""),
        ("cat.", "."),
        ("", ""),
    ],
)
def test_a_name_ends_after_its_last_dot(path: str, expected: str) -> None:
    assert ending(path) == expected


sides = st.integers(1, 2**14 - 1)


@given(sides, sides, st.sampled_from([png, jpeg, webp, lossless_webp, extended_webp]))
def test_an_image_tells_its_size(width: int, height: int, picture: Callable[[int, int], bytes]) -> None:
    assert picture_size(picture(width, height)) == (width, height)


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"\xff\xe1\xff\xff" + bytes(0xFFFD),  # a whole segment of EXIF
        b"\xff\xff\xff\xfe\x00\x03!",  # filling before a marker
        b"\xff\x01\xff\xfe\x00\x02",  # a marker without content
        b"\xff\xe2\xff\xff" + bytes(0xFFFD) + b"\xff\xdb\x00\x43" + bytes(65),
        b"\xff\xc4\x00\x04\x01\x02",  # Huffman tables, whose marker is among the frames'
    ],
)
@pytest.mark.parametrize("frame", [0xC0, 0xC2, 0xCF])
def test_a_jpegs_size_is_found_behind_whatever_comes_before_it(before: bytes, frame: int) -> None:
    assert picture_size(jpeg(4000, 300, before=before, frame=frame)) == (4000, 300)


@pytest.mark.parametrize(
    "content",
    [
        png(0, 480),
        png()[:22],
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        jpeg(0, 480),
        jpeg()[:12],
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xda\x00\x08",
        b"\xff\xd8\xff\xe0\x00\x00",
        jpeg(before=b"\xff\xe0\x00\x10JF"),  # a length that leads beyond the frame
        webp()[:26],
        webp(0, 480),
        riff(b"WEBP", b"ALPH" + bytes(20)),
        lossless_webp(9, 9)[:22],
        extended_webp(9, 9)[:28],
    ],
)
def test_an_image_with_a_broken_header_has_no_size(content: bytes) -> None:
    assert recognised(content) is not None
    assert picture_size(content) is None


def test_a_jpeg_of_nothing_but_segments_is_given_up_on() -> None:
    endless = b"\xff\xd8" + b"\xff\xfe\x00\x02" * 1_000_000
    assert picture_size(endless) is None


def test_what_is_no_image_has_no_size() -> None:
    assert picture_size(SAMPLES[Format.MP4]) is None


@given(st.sampled_from([*SAMPLES.values(), b"ID3", b"\xff\xd8\xff"]), st.binary(max_size=60), st.integers(0, 60))
@example(b"\xff\xd8", b"\xff" * 60, 2)
def test_no_content_is_too_strange_to_be_told_or_not(start: bytes, noise: bytes, cut: int) -> None:
    content = start[:cut] + noise
    assert recognised(content) in {None, *Format}
    size = picture_size(content)
    assert size is None or min(size) > 0
