from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from attrs import evolve
from gallery_samples import HOSTILE, Reading, entry, page_of, video_file

from kling_async.cli.gallery.entries import EntryState, visible
from kling_async.cli.gallery.page import render


def hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


PLAIN = Reading(
    render(page_of([entry(0, model="m/1", tag="t", request="{}"), entry(1, model="m/2", state=EntryState.MISSING)]))
)


@pytest.mark.parametrize("text", list(map(visible, HOSTILE)))
@pytest.mark.parametrize("where", ["prompt", "model", "tag", "name", "reason", "parameters", "request", "title"])
def test_whatever_a_text_holds_it_stays_text(text: str, where: str) -> None:
    changes = {} if where == "title" else {where: ((text, text),) if where == "parameters" else text}
    entries = [entry(0, **changes), entry(1, model="m/2", **({} if where == "model" else changes))]
    entries.append(entry(2, state=EntryState.MISSING, **changes))
    page = Reading(render(evolve(page_of(entries, text), title=text if where == "title" else "batch.db")))
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in PLAIN.elements}
    assert page.scripts[1:] == PLAIN.scripts[1:]
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    if where in {"prompt", "tag", "title"}:
        assert text in page.texts


def test_the_data_come_back_as_they_were() -> None:
    entries = [entry(number, prompt=visible(text), request=visible(text)) for number, text in enumerate(HOSTILE)]
    rows = Reading(render(page_of(entries))).rows
    assert [row["prompt"] for row in rows] == [visible(text) for text in HOSTILE]
    assert rows == [{**row, "times": [None] * 4} for row in page_of(entries).rows()]


def test_the_browser_is_told_to_run_this_program_and_load_nothing_but_files() -> None:
    (_, program), (style,) = PLAIN.scripts, PLAIN.styles
    rules = dict(rule.split(" ", 1) for rule in PLAIN.policy.split("; "))
    assert rules == {
        "default-src": "'none'",
        "style-src": hashed(style),
        "script-src": hashed(program),
        "media-src": "'self' file:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_page_names_no_address_but_its_files() -> None:
    made = page_of([entry(0, file=video_file(Path("/x/a.mp4")))])
    page = render(made)
    reading = Reading(page)
    assert re.findall(r"https?://|//[a-z]+\.|@import|url\(", page) == []
    addresses = [attributes.get(name) for _, attributes in reading.elements for name in ("src", "href", "data-link")]
    assert [address for address in addresses if address] == ["media/a.mp4"]


def test_nothing_is_fetched_before_it_is_wanted() -> None:
    page = Reading(render(page_of([entry(n, file=video_file(Path(f"/x/{n}.mp4"))) for n in range(3)])))
    films = [attributes for tag, attributes in page.elements if tag == "video" and "data-link" in attributes]
    assert [film["preload"] for film in films] == ["none"] * 3
    assert not any("src" in film for film in films)


def test_a_style_is_no_attribute_which_the_policy_would_forbid() -> None:
    assert not any("style" in attributes for _, attributes in PLAIN.elements)


def test_everything_that_can_be_used_has_a_name() -> None:
    labelled = {"aria-label", "aria-labelledby"}
    page = render(page_of([entry(0, file=video_file(Path("/a.mp4")), request="{}")]))
    for match in re.finditer(r"<button([^>]*)>(.*?)</button>", page, re.DOTALL):
        words = re.sub(r"<[^>]*>", "", match[2]).strip()
        assert words or any(name in match[1] for name in labelled), match[0]
    ids = [attributes["id"] for _, attributes in Reading(page).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_an_empty_gallery_says_so() -> None:
    assert "There is no video here yet." in render(page_of([]))


def test_what_is_missing_says_what_to_do() -> None:
    page = Reading(render(page_of([entry(state=EntryState.NOT_DOWNLOADED, reason="Not yet.")])))
    assert {"Not downloaded", "Not yet.", "kling-async download batch.db"} <= {text.strip() for text in page.texts}


def test_choices_of_one_are_not_offered() -> None:
    page = Reading(render(page_of([entry(0), entry(1)])))
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert ids.isdisjoint({"model", "state", "tag", "compare"})
    assert {"search", "sort", "theme"} <= ids
