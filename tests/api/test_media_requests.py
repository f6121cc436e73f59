"""Files in requests: what they are equal to, how they look, and what becomes of them as plain data."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import SAMPLES, png, untyped, webp

from kling_async import (
    Avatar,
    Element,
    ImageToVideo,
    InvalidRequest,
    Request,
    TextToVideo,
    VideoEdit,
    from_dict,
    to_dict,
)
from kling_async.api import media
from kling_async.api.file_types import Format
from kling_async.api.media import LocalFile, file_uri, media_type, path_from_uri
from kling_async.api.requests.serialize import as_texts, data_uri, is_json, plain, with_files

if TYPE_CHECKING:
    from collections.abc import Callable

CAT = Path("/pictures/cat.png")
V3 = "klingai/video-v3-pro-image-to-video"

needs_posix = pytest.mark.skipif(os.name != "posix", reason="paths as POSIX has them")


def named(request: Request) -> list[tuple[str, object]]:
    """The files in a request with their names."""
    seen: list[tuple[str, object]] = []
    with_files(request, lambda file, name: seen.append((name, file)))
    return seen


def test_files_pass_wherever_a_url_does() -> None:
    ImageToVideo(CAT, tail_image_url=png(), model=V3, elements=[Element([CAT, png()], png(), Path("a.mp4"))]).check()
    Avatar(png(), SAMPLES[Format.MP3]).check()
    VideoEdit(prompt="a", video_url=Path("a.mov"), image_list=[CAT, "https://host.example/a.png"]).check()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (ImageToVideo(b"not an image"), "image_url"),
        (ImageToVideo(CAT, tail_image_url=Path("a.mp3"), model=V3), "tail_image_url"),
        (ImageToVideo(CAT, elements=[Element([CAT, b""])], model=V3), "elements.0.reference_image_urls.1"),
        (ImageToVideo(CAT, elements=[Element([CAT], Path("a.mp4"))], model=V3), "elements.0.frontal_image_url"),
        (Avatar(png(), png()), "audio_url"),
        (ImageToVideo(png(299, 400), model="klingai/video-v3-turbo-pro-image-to-video"), "image_url"),
        (ImageToVideo(png(800, 301), model="klingai/video-v3-turbo-pro-image-to-video"), "image_url"),
        (ImageToVideo(webp(), model="klingai/video-v3-turbo-pro-image-to-video"), "image_url"),
        (TextToVideo(untyped(CAT)), "prompt"),
        (TextToVideo(untyped(png())), "prompt"),
    ],
)
def test_a_wrong_file_is_refused_by_the_name_of_its_field(request_: Request, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request_.check()
    assert caught.value.field == field
    assert len(str(caught.value)) < 300


def test_unjudged_and_unknown_fields_take_any_file() -> None:
    ImageToVideo(b"anything", validate=False).check()
    Request(model="newer/than-this", extra={"image": CAT, "more": [{"sound": b"x"}]}).check()


def test_the_files_of_a_request_are_named_as_its_fields_are() -> None:
    request = ImageToVideo(CAT, model=V3, elements=[Element([b"1", "https://a/b"], b"2")], extra={"a": [{"b": b"3"}]})
    assert sorted(named(request)) == [
        ("elements.0.frontal_image_url", b"2"),
        ("elements.0.reference_image_urls.0", b"1"),
        ("extra.a.0.b", b"3"),
        ("image_url", CAT),
    ]


def test_a_request_without_files_is_left_as_it_is() -> None:
    request = ImageToVideo(
        "https://a/b", model=V3, elements=[Element(["https://a/c"])], extra={"a": [{"b": 1}], "c": 2}
    )
    assert with_files(request, lambda _file, _name: "another") is request


def test_a_request_with_another_file_is_another_request() -> None:
    request = ImageToVideo(CAT, model=V3, elements=[Element([CAT])], extra={"a": [CAT]})
    other = with_files(request, lambda _file, _name: "https://a/b")
    assert other == ImageToVideo(
        "https://a/b", model=V3, elements=[Element(["https://a/b"])], extra={"a": ["https://a/b"]}
    )
    assert request.image_url is CAT


def test_the_same_files_make_the_same_request() -> None:
    assert ImageToVideo(Path("a/b.png")) == ImageToVideo(Path("a") / "b.png")
    assert ImageToVideo(png()) == ImageToVideo(png())
    assert ImageToVideo(png()).digest() == ImageToVideo(png()).digest()
    assert ImageToVideo(CAT).digest() == ImageToVideo(PurePath(CAT)).digest()
    assert ImageToVideo(CAT).digest() == ImageToVideo(LocalFile(str(CAT), 9)).digest()


def test_other_files_make_another_request() -> None:
    requests: list[Request] = [
        ImageToVideo(CAT),
        ImageToVideo(CAT.with_suffix(".jpg")),
        ImageToVideo(png()),
        ImageToVideo(png(1)),
        ImageToVideo(data_uri(png())),
        ImageToVideo(CAT, tail_image_url=CAT),
    ]
    assert len({request.digest() for request in requests}) == len(requests)


def test_a_long_file_is_short_in_a_request_s_repr() -> None:
    request = ImageToVideo(png(size=10_000_000), model=V3, elements=[Element([png(size=5_000_000)])])
    assert repr(request) == (
        "ImageToVideo(image_url=<PNG of 640 x 480 pixels, 10,000,000 bytes>,"
        " model='klingai/video-v3-pro-image-to-video',"
        " elements=(Element(reference_image_urls=(<PNG of 640 x 480 pixels, 5,000,000 bytes>,)),))"
    )


def test_the_body_holds_files_as_they_are() -> None:
    assert ImageToVideo(CAT).body()["image_url"] is CAT
    assert ImageToVideo(png()).body()["image_url"] == png()


MADE_OF: dict[str, Callable[[Path], Request]] = {
    "fields": lambda path: ImageToVideo(path, tail_image_url=path, static_mask="https://a/b"),
    "unjudged": lambda path: ImageToVideo(path, validate=False),
    "elements": lambda path: ImageToVideo(
        "https://a/b", model=V3, elements=[Element([path, "https://a/b"], path, path)]
    ),
    "masks": lambda path: ImageToVideo(path, dynamic_masks=[{"mask": path, "trajectories": [{"x": 1, "y": 2}]}]),
    "lists": lambda path: VideoEdit(prompt="file:a", video_url=path, image_list=[path]),
    "extra": lambda path: Request(model="m", extra={"a": [{"b": path}, "file: a text"], "file:c": 1}),
}


@pytest.mark.parametrize("path", [CAT.absolute(), Path("relative/cat 1%20é.png"), Path("a#b?c.png").absolute()])
@pytest.mark.parametrize("fields", MADE_OF)
def test_a_path_comes_back_from_plain_data(fields: str, path: Path) -> None:
    request = MADE_OF[fields](path)
    assert from_dict(json.loads(json.dumps(to_dict(request)))) == request


def test_a_file_s_content_comes_back_as_a_data_uri() -> None:
    data = json.loads(json.dumps(to_dict(ImageToVideo(png(), extra={"more": [b"?"]}))))
    assert from_dict(data) == ImageToVideo(
        data_uri(png()), extra={"more": ["data:application/octet-stream;base64,Pw=="]}
    )


def test_a_row_names_a_file_by_its_uri() -> None:
    row = {"model": "klingai/v2.1-master-image-to-video", "image_url": "file:cat.png"}
    assert from_dict(row) == ImageToVideo(Path("cat.png"))
    with pytest.raises(InvalidRequest, match="a file as a Path"):
        from_dict(row | {"image_url": "cat.png"}).check()


@needs_posix
@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a/b.png", Path("/a/b.png")),
        ("file:/a/b.png", Path("/a/b.png")),
        ("FILE://localhost/a%20b.png", Path("/a b.png")),
        ("file:a/b.png", Path("a/b.png")),
        ("file:///C:/a.png", Path("/C:/a.png")),
        ("file:///a%FF.png", Path(os.fsdecode(b"/a\xff.png"))),
        ("file://elsewhere/a.png", "file://elsewhere/a.png"),
        ("file:", "file:"),
        ("file: a text", "file: a text"),
        ("file:///a?b", "file:///a?b"),
        ("https://a/b", "https://a/b"),
        (5, 5),
    ],
)
def test_file_uris_are_read_as_paths_on_this_host(uri: object, path: object) -> None:
    assert path_from_uri(uri) == path


def test_on_windows_a_uri_may_name_a_drive_or_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "_WINDOWS", True)
    assert path_from_uri("file:///C:/a%20b.png") == Path("C:/a b.png")
    assert path_from_uri("file:///Crate/a.png") == Path("/Crate/a.png")
    assert path_from_uri("file://host/share/a.png") == Path("//host/share/a.png")


@needs_posix
@given(st.lists(st.binary(min_size=1, max_size=9).filter(lambda name: not set(name) & set(b"\0/")), min_size=1))
def test_every_path_there_can_be_comes_back_from_its_uri(names: list[bytes]) -> None:
    for path in (Path(os.fsdecode(b"/" + b"/".join(names))), Path(os.fsdecode(b"/".join(names)))):
        uri = file_uri(path)
        assert uri.isascii()
        assert path_from_uri(uri) == path


@pytest.mark.parametrize(
    ("content", "path", "expected"),
    [
        *((content, "", known.media_type) for known, content in SAMPLES.items()),
        (png(), "cat.jpg", "image/png"),
        (SAMPLES[Format.MP4], "voice.m4a", "audio/mp4"),
        (SAMPLES[Format.MP4], "cat.mov", "video/mp4"),
        (b"?", "cat.webp", "image/webp"),
        (b"?", "cat.txt", "application/octet-stream"),
        (b"?", "", "application/octet-stream"),
    ],
)
def test_the_media_type_is_the_content_s_before_it_is_the_name_s(content: bytes, path: str, expected: str) -> None:
    assert media_type(content, path) == expected


def test_plain_data_keeps_files_until_they_are_written_out() -> None:
    request = ImageToVideo(CAT.absolute(), tail_image_url=b"?")
    data = plain(request.stated())
    assert is_json(data)
    assert (data["image_url"], data["tail_image_url"]) == (CAT.absolute(), b"?")
    assert as_texts(data)["image_url"] == CAT.absolute().as_uri()
    assert json.loads(json.dumps(as_texts(data)))["tail_image_url"] == "data:application/octet-stream;base64,Pw=="


def test_a_file_is_no_name_of_a_member() -> None:
    assert not is_json({b"a": 1})
    with pytest.raises(InvalidRequest, match="a is"):
        Request(model="m", extra={"a": {CAT: 1}}).check()
