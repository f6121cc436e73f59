from __future__ import annotations

import contextlib
import math
from enum import Enum
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import job

from kling_async import errors
from kling_async.api.requests import ImageToVideo, Request, TextToVideo
from kling_async.api.results import Usage, Video
from kling_async.errors import GenerationFailed, InvalidRequest, JournalError, KlingError, SpendLimitReached
from kling_async.journal.base import JobState, Record
from kling_async.journal.media import extract_media, restore_media
from kling_async.journal.sql.rows import (
    COLUMNS,
    Row,
    read_error,
    read_row,
    read_video,
    write_error,
    write_row,
    write_video,
)

IMAGE = "data:image/png;base64,aGk="

REQUESTS = [
    ImageToVideo(IMAGE),
    ImageToVideo(IMAGE.upper(), prompt="a", tail_image_url=IMAGE),
    ImageToVideo("https://host.example/a.png", elements=[{"frontal_image_url": IMAGE}, {"video_url": IMAGE}]),
    ImageToVideo(IMAGE, dynamic_masks=[{"mask": IMAGE, "trajectories": [{"x": 1, "y": 2}]}]),
    TextToVideo("data:"),
    TextToVideo('say "data: a"', duration=5, cfg_scale=0.5, multi_prompt=["a", {"prompt": "b"}]),
    Request(model="m", extra={"data:a": [{"b": IMAGE}], "c": {"data:": "data:" + "0" * 64}}),
]

any_text = st.text(st.characters(exclude_categories=[]), max_size=20)  # halves of characters, too
instants = st.floats(0, 1e10)
amounts = st.none() | st.floats(0, 1e6)
json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)
column_values = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | any_text | st.binary(max_size=20)
videos = st.builds(
    Video,
    url=any_text,
    content_type=st.none() | any_text,
    file_name=st.none() | any_text,
    file_size=st.none() | st.integers(0),
    generation_id=any_text,
    usage=st.builds(Usage, amounts, amounts, amounts),
)
records = st.builds(
    Record,
    key=any_text,
    state=st.sampled_from(JobState),
    request=st.none() | st.sampled_from(REQUESTS),
    digest=st.binary(max_size=32),
    tag=json_data,
    endpoint=any_text,
    attempts=st.integers(0, 9),
    client_request_id=st.none() | any_text,
    generation_id=st.none() | any_text,
    queued_at=instants,
    submitted_at=st.none() | instants,
    accepted_at=st.none() | instants,
    deadline=st.none() | instants,
    settled_at=st.none() | instants,
    last_status=st.none() | any_text,
    polls=st.integers(0, 10**6),
    video=st.none() | videos,
    former_request_ids=st.lists(any_text, max_size=2).map(tuple),
    file=st.none() | any_text,
    file_size=st.none() | st.integers(0, 2**62),
    file_digest=st.none() | any_text,
)


def restored(record: Record) -> Record:
    row = write_row(record)
    assert row.fixed is not None
    return read_row(row.fixed + row.changing, row.media.__getitem__)


def row_of(record: Record, **columns: Any) -> list[Any]:
    row: Row = write_row(record)
    assert row.fixed is not None
    values = dict(zip(COLUMNS, row.fixed + row.changing, strict=True))
    return list((values | columns).values())


def nothing(digest: str) -> str:
    raise KeyError(digest)


@given(records)
def test_a_record_comes_back_equal(record: Record) -> None:
    assert restored(record) == record


def test_every_field_of_a_record_has_a_column() -> None:
    assert sorted(COLUMNS) == sorted(attribute.name for attribute in attrs.fields(Record))


@given(records, records)
def test_what_changes_is_all_that_is_written_again(before: Record, after: Record) -> None:
    after = attrs.evolve(
        after,
        key=before.key,
        request=before.request,
        digest=before.digest,
        tag=before.tag,
        endpoint=before.endpoint,
        queued_at=before.queued_at,
    )
    whole, part = write_row(before), write_row(after, before)
    assert part.fixed is None
    assert whole.fixed is not None
    assert read_row(whole.fixed + part.changing, whole.media.__getitem__) == after


@pytest.mark.parametrize(
    "changes",
    [{"tag": "other"}, {"request": TextToVideo("other")}, {"digest": b"other"}, {"endpoint": "/"}, {"queued_at": 9.0}],
)
def test_what_seldom_changes_is_written_again_if_it_does(changes: dict[str, Any]) -> None:
    assert write_row(job(**changes), before=job()).fixed is not None


def test_tuples_in_a_tag_come_back_as_lists() -> None:
    assert restored(job(tag=("a", (1, 2)))).tag == ["a", [1, 2]]


class Unknown:
    """Something that no JSON has."""


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize("tag", [Unknown(), {"a": b"b"}, {1: "a"}, [{None: 1}], math.nan, [math.inf], LOOP, [10**5000]])
def test_a_tag_that_is_not_json_is_refused_by_name(tag: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        write_row(job(tag=tag))
    assert caught.value.field == "tag"
    assert caught.value.value is tag


def test_a_request_that_is_not_json_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest) as caught:
        write_row(job(request=Request(model="m", extra={"seed": math.nan})))
    assert caught.value.field == "request"


@pytest.mark.parametrize("name", ["queued_at", "submitted_at", "accepted_at", "deadline", "settled_at"])
def test_a_time_that_is_nan_is_refused_by_name(name: str) -> None:
    times: dict[str, Any] = {name: math.nan}
    with pytest.raises(InvalidRequest) as caught:
        write_row(job(**times))
    assert caught.value.field == name


def test_a_deadline_may_be_infinite() -> None:
    assert restored(job(deadline=math.inf)).deadline == math.inf


# Media


@pytest.mark.parametrize("request_", REQUESTS)
def test_requests_with_media_come_back_equal(request_: Request) -> None:
    assert restored(job(request=request_)).request == request_


def test_media_are_no_part_of_the_row() -> None:
    row = write_row(job(request=ImageToVideo(IMAGE, tail_image_url=IMAGE)))
    assert list(row.media.values()) == [IMAGE]
    assert IMAGE not in repr(row.fixed)


@given(json_data)
def test_any_data_comes_back_from_references_and_media(data: object) -> None:
    apart, media = extract_media(data)
    assert restore_media(apart, '"data:', media.__getitem__) == data


def test_a_row_whose_media_are_missing_is_unreadable() -> None:
    with pytest.raises(JournalError, match="cannot be read"):
        read_row(row_of(job(request=ImageToVideo(IMAGE))), nothing)


# Outcomes

ERRORS = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, KlingError)]


@pytest.mark.parametrize("cls", ERRORS)
def test_every_class_of_error_comes_back_with_its_attributes(cls: type[KlingError]) -> None:
    error = cls("what happened").about(key="a", generation_id="g", last_status="queued", polls=3)
    again = read_error(write_error(error))
    assert type(again) is cls
    assert str(again) == "what happened"
    assert vars(again) == vars(error)


@given(st.sampled_from(ERRORS), any_text, json_data)
def test_whatever_json_an_error_holds_comes_back(cls: type[KlingError], message: str, content: object) -> None:
    error = cls(message)
    for name in vars(error).keys() - {"message", "limit_usd", "committed_usd", "price_usd"}:
        setattr(error, name, content)
    assert vars(read_error(write_error(error))) == vars(error)


@given(st.decimals(0, 10**6, places=9))
def test_amounts_of_money_come_back_to_the_digit(usd: Any) -> None:
    error = SpendLimitReached("no", limit_usd=usd, committed_usd=usd)
    assert vars(read_error(write_error(error))) == vars(error)
    video = Video("u", usage=Usage(usd_spent=usd))
    assert read_video(write_video(video)) == video


def test_an_error_is_kept_whatever_it_holds() -> None:
    error = GenerationFailed("no", reason=LOOP)
    again = read_error(write_error(error))
    assert isinstance(again, GenerationFailed)
    assert again.reason == repr(LOOP)


def test_an_error_of_a_class_yet_to_come_is_a_plain_one() -> None:
    encoded = write_error(GenerationFailed("no", reason=1).about(key="a", generation_id="g", last_status=None, polls=2))
    again = read_error(encoded.replace("GenerationFailed", "RaccoonMissing"))
    assert type(again) is KlingError
    assert (again.message, again.key, again.generation_id, again.polls) == ("no", "a", "g", 2)


def test_a_class_of_error_is_only_ever_one_of_this_librarys() -> None:
    assert type(read_error('{"class": "copied", "attributes": {"message": "a"}}')) is KlingError


def test_what_later_versions_add_to_a_video_is_left_out() -> None:
    encoded = write_video(Video("u")).replace('"url"', '"colour": "red", "url"')
    assert read_video(encoded) == Video("u")


@pytest.mark.parametrize("encoded", ['{"url": 5}', '{"url": "u", "file_size": "9"}', "[]", "{}", "7"])
def test_what_is_no_video_is_refused(encoded: str) -> None:
    with pytest.raises(JournalError):
        read_row(row_of(job(), video=encoded), nothing)


# Rows that nobody here wrote


class Damage(Enum):
    STATE = ("state", "asleep")
    KEY = ("key", None)
    DIGEST = ("digest", "text")
    POLLS = ("polls", "many")
    REQUEST = ("request", '{"kind": "opera"}')
    TAG = ("tag", "{")
    TEXT = ("last_status", b"\xff")
    ERROR = ("error", '{"class": "KlingError", "attributes": {"message": 5}}')
    FORMER = ("former_request_ids", "[1]")
    ATTRIBUTES = ("error", '{"class": "KlingError", "attributes": []}')


@pytest.mark.parametrize("damage", Damage)
def test_a_damaged_row_is_unreadable_and_says_whose_it_is(damage: Damage) -> None:
    name, value = damage.value
    with pytest.raises(JournalError, match=r"the record of job (None|'a') cannot be read: "):
        read_row(row_of(job(), **{name: value}), nothing)


@pytest.mark.parametrize("length", [0, 1, len(COLUMNS) - 1, len(COLUMNS) + 1])
def test_a_row_of_another_length_is_unreadable(length: int) -> None:
    with pytest.raises(JournalError):
        read_row(["a"] * length, nothing)


@given(st.dictionaries(st.sampled_from(COLUMNS), column_values, min_size=1))
def test_of_any_row_comes_a_record_or_a_journal_error(columns: dict[str, Any]) -> None:
    with contextlib.suppress(JournalError):
        read_row(row_of(job(), **columns), nothing)


@given(st.sampled_from(["request", "tag", "video", "error"]), json_data.map(repr) | any_text)
def test_of_any_text_for_json_comes_a_record_or_a_journal_error(name: str, text: str) -> None:
    with contextlib.suppress(JournalError):
        read_row(row_of(job(), **{name: text}), nothing)
