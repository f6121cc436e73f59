"""Files in a journal: contents once each, paths by reference; and tokens, which carry neither."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from records import job, reopened, run
from samples import png

from kling_async.api.requests import ImageToVideo, Request
from kling_async.api.requests.serialize import data_uri
from kling_async.errors import InvalidRequest, JournalError
from kling_async.journal.base import JobState
from kling_async.journal.media import extract_media, replace_large_media, restore_media
from kling_async.journal.sql.rows import read_row, write_row
from kling_async.journal.token import read_token, write_token

if TYPE_CHECKING:
    from kling_async.journal.base import Journal, Record
    from kling_async.journal.sqlite.journal import SQLiteJournal

CAT = Path("cat.png").absolute()
URI = data_uri(png())

texts = st.sampled_from(
    ["data:", "DATA:x", "data:bytes:y", "data:file:///z", "data:" + "0" * 64, URI, "file:///a", "a"]
)
files = st.binary(max_size=9) | st.just(CAT) | st.just(Path("relative.png"))
data = st.recursive(
    st.none() | st.integers() | texts | files,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def with_request(request: Request, key: str = "a") -> Record:
    return job(key, request=request, digest=request.digest())


@given(data)
def test_what_is_set_apart_can_be_put_back(given_: object) -> None:
    apart, media = extract_media(given_)
    encoded = json.dumps(apart, separators=(",", ":"))
    assert restore_media(json.loads(encoded), encoded, media.__getitem__) == given_


def test_a_content_and_a_text_of_the_same_bytes_each_come_back_as_what_they_were() -> None:
    both = [URI, URI.encode()]
    apart, media = extract_media(both)
    encoded = json.dumps(apart)
    assert len(media) == 1
    for kept in (URI, URI.encode()):  # whichever of them is kept for both
        found: dict[str, str | bytes] = dict.fromkeys(media, kept)
        assert restore_media(apart, encoded, found.__getitem__) == both


def test_a_row_names_contents_and_holds_paths() -> None:
    record = with_request(ImageToVideo(CAT, tail_image_url=png(), static_mask=URI))
    row = write_row(record)
    assert row.fixed is not None
    assert sorted(row.media.values(), key=str) == [png(), URI]
    assert CAT.as_uri() in str(row.fixed[0])
    assert read_row(row.fixed + row.changing, row.media.__getitem__) == record


@pytest.mark.asyncio
async def test_a_request_with_files_comes_back_from_every_journal(any_journal: Journal) -> None:
    request = ImageToVideo(CAT, tail_image_url=png(), extra={"more": [{"sound": b"\xff\0", "file": CAT}]})
    any_journal.append(with_request(request))
    await any_journal.close()
    await any_journal.open()
    [record] = await any_journal.load_open()
    assert record.request == request
    assert record.digest == request.digest()


@pytest.mark.asyncio
async def test_a_thousand_jobs_share_one_content(journal: SQLiteJournal) -> None:
    content = png(size=100_000)
    for number in range(1000):
        journal.append(with_request(ImageToVideo(content, prompt=str(number)), str(number)))
    await journal.flush()
    assert await run(journal, "SELECT count(*), sum(length(content)) FROM media") == [(1, 100_000)]
    records = await (await reopened(journal)).load_open()
    assert len({id(record.request.image_url) for record in records if isinstance(record.request, ImageToVideo)}) == 1


@pytest.mark.asyncio
async def test_a_content_that_is_missing_makes_its_record_unreadable(journal: SQLiteJournal) -> None:
    journal.append(with_request(ImageToVideo(png())))
    await journal.flush()
    await run(journal, "DELETE FROM media")
    assert await (await reopened(journal)).load_open() == []
    with pytest.raises(JournalError, match="is missing"):
        journal.get("a")
    await run(journal, "DELETE FROM jobs")


@pytest.mark.asyncio
async def test_what_is_done_keeps_the_digests_of_files_that_are_not_needed_when_it_is_written_again(
    journal: SQLiteJournal,
) -> None:
    request = ImageToVideo(png(), tail_image_url=URI, extra={"more": [png(size=100)]})
    done = evolve(with_request(request), state=JobState.COMPLETED)
    digests = sorted(write_row(done).media)
    journal.append(done)
    for number in range(3):
        await journal.flush()
        await run(journal, "DELETE FROM media")
        record = (await reopened(journal)).get("a")
        assert record is not None
        journal.append(evolve(record, file=f"{number}.mp4"))
    await journal.flush()
    assert await run(journal, "SELECT count(*) FROM media") == [(0,)]
    [(kept,)] = await run(journal, "SELECT request FROM jobs")
    assert sorted(re.findall("[0-9a-f]{64}", kept)) == digests


def test_a_token_carries_paths_and_leaves_what_is_large_behind() -> None:
    long_uri = data_uri(png(size=1_000_000))
    request = ImageToVideo(CAT, tail_image_url=png(size=1_000_000), static_mask=long_uri, prompt="a", extra={"b": CAT})
    record = with_request(request)
    token = write_token(record)
    assert len(token) < 1000
    again = read_token(token)
    assert again.digest == record.digest
    assert again.request is not None
    assert again.request.body() | {"tail_image_url": 0, "static_mask": 0} == request.body() | {
        "tail_image_url": 0,
        "static_mask": 0,
    }
    with pytest.raises(InvalidRequest, match="tail_image_url"):
        again.request.check()


def test_a_token_whose_request_is_whole_is_known_by_it() -> None:
    record = with_request(ImageToVideo(CAT, tail_image_url=URI))
    token = write_token(record)
    assert "digest" not in json.loads(token)
    again = read_token(token)
    assert (again.request, again.digest) == (record.request, record.digest)


def test_a_token_with_a_digest_that_is_none_is_refused() -> None:
    parts = json.loads(write_token(with_request(ImageToVideo(png()))))
    with pytest.raises(InvalidRequest, match="token"):
        read_token(json.dumps(parts | {"digest": "?"}))


def test_a_request_without_files_is_not_shortened() -> None:
    whole = {"prompt": "data: " + "a" * 150, "image_url": "https://a/" + "b" * 1000}
    assert replace_large_media(whole) == (whole, False)
    assert attrs.fields_dict(ImageToVideo).keys() >= whole.keys()
