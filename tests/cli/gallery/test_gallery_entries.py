from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from gallery_samples import film, record

from kling_async import BadRequest, GenerationFailed, ImageToVideo, JobState, Request, TextToVideo, Usage, Video
from kling_async.cli.gallery.entries import EntryState, entry_of

if TYPE_CHECKING:
    from pathlib import Path


def test_a_downloaded_video_is_ready_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    request = TextToVideo("a raccoon", duration=10, aspect_ratio="9:16", negative_prompt="blur")
    entry = entry_of(record(1, film(tmp_path / "a.mp4"), request=request, tag={"row": 3}, polls=4), tmp_path)
    assert entry.state is EntryState.READY
    assert (entry.prompt, entry.model, entry.tag) == ("a raccoon", "klingai/v2.1-master-text-to-video", '{"row": 3}')
    assert entry.parameters == (("aspect_ratio", "9:16"), ("duration", "10"), ("negative_prompt", "blur"))
    assert '"prompt": "a raccoon"' in (entry.request or "")
    assert (entry.generation_id, entry.name, entry.polls) == ("generation-1", "key-1", 4)
    assert (entry.queued_at, entry.submitted_at, entry.accepted_at, entry.settled_at) == (1001, 1002, 1003, 1101)
    assert (entry.took, entry.cost, entry.reason) == (98, Usage(credits_used=28.0, usd_spent=0.28), "")
    assert entry.file is not None
    assert (entry.file.width, entry.file.height, entry.file.seconds) == (640, 360, 2.0)


@pytest.mark.parametrize(
    ("state", "shown", "reason"),
    [
        (JobState.QUEUED, EntryState.QUEUED, "not been sent"),
        (JobState.SUBMITTING, EntryState.RUNNING, "had not finished"),
        (JobState.PENDING, EntryState.RUNNING, "had not finished"),
        (JobState.UNCERTAIN, EntryState.UNCERTAIN, "no answer says"),
        (JobState.COMPLETED, EntryState.NOT_DOWNLOADED, "not been downloaded"),
        (JobState.FAILED, EntryState.FAILED, "gave no reason"),
        (JobState.REJECTED, EntryState.REJECTED, "gave no reason"),
        (JobState.ABANDONED, EntryState.ABANDONED, "stopped watching"),
    ],
)
def test_every_job_state_is_shown_and_says_why_there_is_no_video(
    tmp_path: Path, state: JobState, shown: EntryState, reason: str
) -> None:
    entry = entry_of(record(1, state=state), tmp_path)
    assert entry.state is shown
    assert reason in entry.reason
    assert entry.file is None


@pytest.mark.parametrize("error", [GenerationFailed("risk\x00 control"), BadRequest("risk\x00 control", status=400)])
def test_a_failure_keeps_the_vendors_reason(tmp_path: Path, error: Exception) -> None:
    assert entry_of(record(1, state=JobState.FAILED, error=error), tmp_path).reason == "risk\u2400 control"


def test_a_file_that_is_gone_is_missing(tmp_path: Path) -> None:
    gone = film(tmp_path / "gone.mp4")
    told = record(1, gone)
    gone.unlink()
    entry = entry_of(told, tmp_path)
    assert entry.state is EntryState.MISSING
    assert "gone.mp4 is not there any more" in entry.reason


def test_a_file_of_another_size_is_not_taken_for_the_video(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    told = record(1, path)
    film(path, b"another job's")
    entry = entry_of(told, tmp_path)
    assert entry.state is EntryState.MISSING
    assert "were downloaded" in entry.reason


def test_a_file_with_a_relative_name_is_found_beside_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "journals" / "out" / "a.mp4")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    told = evolve(record(1), file="out/a.mp4")
    assert entry_of(told, tmp_path / "journals").state is EntryState.READY


def test_a_name_that_no_file_can_have_is_only_missing(tmp_path: Path) -> None:
    assert entry_of(evolve(record(1), file="a\x00b.mp4"), tmp_path).state is EntryState.MISSING


@pytest.mark.parametrize(
    ("request_", "prompt"),
    [
        (TextToVideo(multi_prompt=("one", "two"), model="m"), "one\ntwo"),
        (TextToVideo(multi_prompt=({"prompt": "one"}, {"duration": 3}), model="m"), "one"),
        (ImageToVideo("https://example.com/a.png"), ""),
        (Request(model="m", extra={"prompt": "elsewhere"}), ""),
    ],
)
def test_the_prompt_is_what_was_asked_for_in_words(tmp_path: Path, request_: Request, prompt: str) -> None:
    assert entry_of(record(1, request=request_), tmp_path).prompt == prompt


def test_a_generation_resumed_by_its_id_has_at_least_its_model(tmp_path: Path) -> None:
    entry = entry_of(record(1, request=None, generation_id="ce81:kling-video/v2.1/master/text-to-video"), tmp_path)
    assert (entry.model, entry.prompt, entry.request) == ("kling-video/v2.1/master/text-to-video", "", None)


def test_media_do_not_come_along(tmp_path: Path) -> None:
    entry = entry_of(record(1, request=ImageToVideo("data:image/png;base64," + "A" * 9000)), tmp_path)
    assert "AAAA" not in (entry.request or "") + str(entry.parameters)
    assert dict(entry.parameters)["image_url"].startswith("<image/png, 7 KB inline")


def test_what_is_no_number_is_not_known(tmp_path: Path) -> None:
    video = Video("https://example.com", usage=Usage(credits_used=math.inf, tokens_used=5.0, usd_spent=math.nan))
    entry = entry_of(record(1, video=video, settled_at=math.inf, queued_at=0.0), tmp_path)
    assert entry.cost == Usage(tokens_used=5.0)
    assert (entry.settled_at, entry.took, entry.queued_at) == (None, None, None)


def test_time_taken_counts_from_the_submit_if_nothing_else_is_known(tmp_path: Path) -> None:
    entry = entry_of(record(0, accepted_at=None), tmp_path)
    assert entry.took == 99
