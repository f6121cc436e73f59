from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from attrs import evolve
from gallery_samples import HOSTILE, film, record

from kling_async import GenerationFailed, ImageToVideo, JobState, TextToVideo, from_dict
from kling_async.cli.gallery.page import build
from kling_async.journal.sqlite.journal import SQLiteJournal
from kling_async.sandbox import Faults, Sandbox
from kling_async.sandbox.files import SampleVideo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from playwright.async_api import Browser, Page

    from kling_async import Record

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROMPTS = ("A fox on the roofs", "Rain on a tin tea house", "A fox on the roofs", "Paper boats at dusk")
MODELS = (
    "klingai/v2.1-master-text-to-video",
    "klingai/v2.1-master-text-to-video",
    "klingai/v2.5-turbo/pro/text-to-video",
    "kling-video/v1.6/standard/text-to-video",
)


async def gallery(folder: Path, records: Iterable[Record]) -> str:
    """The address of a gallery of these records."""
    journal = SQLiteJournal(folder / "batch.db")
    await journal.open()
    for one in records:
        journal.append(one)
    await journal.close()
    build(folder / "batch.db", folder / "page", now=1_795_000_000.0)
    return (folder / "page/index.html").as_uri()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def batch(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the gallery of a batch that a session ran: the first job failed, the last is not downloaded."""
    folder = tmp_path_factory.mktemp("batch")
    requests = [TextToVideo(prompt, model=model) for prompt, model in zip(PROMPTS, MODELS, strict=True)]
    requests += [TextToVideo("One that fails"), TextToVideo("One to be downloaded", duration=10)]
    async with (
        Sandbox(speed=2000, faults=Faults(error_outcome={1})) as sandbox,
        sandbox.session(journal=folder / "batch.db") as kling,
    ):
        failing = kling.submit(requests[4], tag="night")
        await failing.settled()
        jobs = [
            kling.submit(request, tag="day" if n else 'it\'s "day"') for n, request in enumerate(requests) if n != 4
        ]
        for number, job in enumerate(jobs[:4]):
            await kling.download(job, folder / "videos" / f"{number} #.mp4")
        await jobs[4]
        assert failing.exception() is not None
    build(folder / "batch.db", folder / "page", now=1_795_000_000.0)
    return (folder / "page/index.html").as_uri()


FAILED, READY = 0, 1  # places on that page, which has jobs in the order of their submits


@pytest_asyncio.fixture(loop_scope="module")
async def window(browser: Browser) -> AsyncIterator[Page]:
    """A page in a window of 1000 by 700 pixels."""
    context = await browser.new_context(viewport={"width": 1000, "height": 700})
    page = await context.new_page()
    page.set_default_timeout(20_000)
    yield page
    await context.close()


@pytest.fixture
def page(window: Page) -> Iterator[Page]:
    """The same, and nothing may go wrong on it."""
    troubles: list[str] = []
    window.on("pageerror", lambda error: troubles.append(str(error)))
    window.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    yield window
    assert troubles == []


async def shown(page: Page) -> list[int]:
    """The places of the cards that are shown, in the order on the page."""
    cards = "[...document.querySelectorAll('.card')].filter((card) => card.offsetParent)"
    places: list[int] = await page.evaluate(f"{cards}.map((card) => Number(card.dataset.place))")
    return places


FOCUSED = "document.activeElement.matches('.frame') ? Number(document.activeElement.parentElement.dataset.place) : null"


async def focused(page: Page) -> int | None:
    """The place of the frame that has the focus."""
    place: int | None = await page.evaluate(FOCUSED)
    return place


async def refocused(page: Page, place: int) -> None:
    """The focus comes back to this frame; the viewer gives it back a moment after it has closed."""
    await until(page, f"(place) => ({FOCUSED}) === place", place)


async def until(page: Page, truth: str, argument: Any = None) -> None:
    await page.wait_for_function(truth, arg=argument)


async def clipboard(page: Page) -> str:
    """What a person would paste."""
    await page.evaluate("document.body.append(Object.assign(document.createElement('textarea'), {id: 'paste'}))")
    box = page.locator("#paste")
    for _ in range(3):  # a viewer that has closed may take the focus once more in between
        await box.focus()
        await page.keyboard.press("Control+v")
        if text := await box.input_value():
            return text
    await until(page, "() => document.querySelector('#paste').value")
    return await box.input_value()


FILM = "document.querySelector(`#card-${place} video`)"
PLAYS = f"(place) => !{FILM}.paused && {FILM}.currentTime > 0.2"
RESTS = f"(place) => {FILM}.paused"
FRAME = f"(place) => {FILM}.readyState >= 2"
FILMS = "[...document.querySelectorAll('.card video')]"
FETCHED = f"{FILMS}.filter((film) => film.networkState !== 0).length"  # 0 is NETWORK_EMPTY: it has no address yet


async def test_a_video_shows_its_first_picture_and_plays_while_it_is_pointed_at(page: Page, batch: str) -> None:
    await page.goto(batch)
    await until(page, FRAME, READY)
    assert await page.evaluate(RESTS, READY)
    await page.locator(f"#card-{READY} .frame").hover()
    await until(page, PLAYS, READY)
    assert await page.evaluate(f"document.querySelector('#card-{READY} video').muted")
    await page.mouse.move(1, 1)
    await until(page, RESTS, READY)


async def test_nothing_moves_for_those_who_want_no_motion(page: Page, batch: str) -> None:
    await page.emulate_media(reduced_motion="reduce")
    await page.goto(batch)
    await until(page, FRAME, READY)
    await page.locator(f"#card-{READY} .frame").hover()
    await page.locator("#search").hover()
    assert await page.evaluate(f"document.querySelector('#card-{READY} video').currentTime") < 0.2


async def test_a_click_opens_a_video_in_full_with_all_that_is_known_of_it(page: Page, batch: str) -> None:
    await page.goto(batch)
    await page.locator(f"#card-{READY} .frame").click()
    await until(
        page, "() => { const film = document.querySelector('#film'); return !film.paused && film.currentTime > 0; }"
    )
    assert await page.locator("#film").evaluate("(film) => [film.videoWidth, film.controls]") == [640, True]
    assert await page.locator("#viewer-title").text_content() == PROMPTS[0]
    names = await page.locator("#details dt").all_text_contents()
    values = await page.locator("#details dd").all_text_contents()
    details = dict(zip(names, values, strict=True))
    assert details["Model"] == MODELS[0]
    assert details["Tag"] == 'it\'s "day"'
    assert {
        "Cost",
        "Time taken",
        "Queued",
        "Submitted",
        "Accepted",
        "Finished",
        "Generation",
        "Key",
        "File",
    } <= details.keys()
    assert details["File"].startswith("640 \N{MULTIPLICATION SIGN} 360, 2 s, ")
    assert (await page.locator("#file").get_attribute("href") or "").startswith("media/")
    await page.keyboard.press("Escape")
    assert await page.locator("#viewer").is_hidden()
    await refocused(page, READY)
    assert await page.locator("#film").get_attribute("src") is None


async def test_a_failure_is_shown_with_its_reason(page: Page, batch: str) -> None:
    await page.goto(batch)
    reason = await page.locator(f"#card-{FAILED} .reason").text_content()
    assert reason
    await page.locator(f"#card-{FAILED} .frame").click()
    assert await page.locator("#absence strong").text_content() == "Failed"
    assert await page.locator("#absence .reason").text_content() == reason
    assert await page.locator("#film").is_hidden()
    assert await page.locator("#file").is_hidden()


async def test_a_video_that_is_not_downloaded_says_how_to_get_it(page: Page, batch: str) -> None:
    await page.goto(batch)
    await page.locator("#card-5 .frame").click()
    command = await page.locator("#absence code").text_content() or ""
    assert command.startswith("kling-async download ")
    assert command.endswith("batch.db")


async def test_the_keyboard_is_enough(page: Page, batch: str) -> None:
    await page.goto(batch)
    await page.keyboard.press("/")
    assert await page.evaluate("document.activeElement.id") == "search"
    await page.keyboard.press("Enter")
    assert await focused(page) == 0
    columns = await page.evaluate(
        "new Set([...document.querySelectorAll('.card')].map((card) => card.getBoundingClientRect().left)).size"
    )
    for key, place in [
        ("ArrowRight", 1),
        ("ArrowDown", 1 + columns),
        ("ArrowUp", 1),
        ("ArrowLeft", 0),
        ("End", 5),
        ("Home", 0),
    ]:
        await page.keyboard.press(key)
        assert await focused(page) == place, key
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowUp")
    assert await focused(page) == 0
    await page.keyboard.press("Enter")
    assert await page.locator("#position").text_content() == "1 / 6"
    assert await page.locator("#previous").is_disabled()
    await page.keyboard.press("ArrowRight")
    assert await page.locator("#viewer-title").text_content() == PROMPTS[0]
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowLeft")
    assert await page.locator("#position").text_content() == "2 / 6"
    await page.keyboard.press("Escape")
    await refocused(page, 1)
    await page.keyboard.press("Space")
    assert await page.locator("#viewer").is_visible()
    await page.keyboard.press("Space")  # on the button that closes
    assert await page.locator("#viewer").is_hidden()


async def test_the_grid_is_one_stop_of_the_tab_key(page: Page, batch: str) -> None:
    await page.goto(batch)
    await page.locator("#theme").focus()
    await page.keyboard.press("Tab")
    assert await focused(page) == 0
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.getAttribute('aria-label')") == "Copy the request"
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.closest('.card')") is None


async def test_a_focused_video_plays(page: Page, batch: str) -> None:
    await page.goto(batch)
    await page.locator("#theme").focus()
    await page.keyboard.press("Tab")
    await page.keyboard.press("ArrowRight")
    await until(page, PLAYS, 1)
    await page.keyboard.press("ArrowRight")
    await until(page, RESTS, 1)


async def test_videos_are_found_by_text_model_state_and_tag(page: Page, batch: str) -> None:
    await page.goto(batch)
    await page.locator("#search").fill("ROOFS fox")
    assert await shown(page) == [1, 3]
    assert await page.locator("#shown").text_content() == "2 of 6"
    await page.locator("#model").select_option(MODELS[2])
    assert await shown(page) == [3]
    await page.locator("#search").fill("")
    await page.locator("#model").select_option("")
    await page.locator("#state").select_option("Failed")
    assert await shown(page) == [FAILED]
    await page.locator("#state").select_option("")
    await page.locator("#tag").select_option('it\'s "day"')
    assert await shown(page) == [READY]
    await page.locator("#search").fill("nothing like it")
    assert await shown(page) == []
    assert await page.locator("#nothing").is_visible()
    await page.locator("#search").fill("")
    await page.locator("#tag").select_option("")
    assert await shown(page) == [0, 1, 2, 3, 4, 5]
    assert await page.locator("#shown").text_content() == ""


async def test_arrows_in_the_viewer_move_among_what_was_found(page: Page, batch: str) -> None:
    await page.goto(batch)
    await page.locator("#search").fill("fox")
    await page.locator("#card-1 .frame").click()
    await page.locator("#next").click()
    assert await page.locator("#position").text_content() == "2 / 2"
    assert await page.locator("#next").is_disabled()
    await page.locator("#close").click()
    await refocused(page, 3)


@pytest.mark.parametrize(
    ("order", "places"),
    [
        ("last", [5, 4, 3, 2, 1, 0]),
        ("prompt", [1, 3, 0, 5, 4, 2]),
        ("model", [4, 0, 1, 2, 5, 3]),
        ("first", [0, 1, 2, 3, 4, 5]),
    ],
)
async def test_videos_can_be_put_in_order(page: Page, batch: str, order: str, places: list[int]) -> None:
    await page.goto(batch)
    await page.locator("#sort").select_option(order)
    assert await shown(page) == places
    await page.locator("#search").fill("fox")
    assert await shown(page) == [place for place in places if place in (1, 3)]


@pytest.mark.parametrize("order", ["cost", "took", "size"])
async def test_the_most_comes_first_and_the_unknown_last(page: Page, batch: str, order: str) -> None:
    await page.goto(batch)
    await page.locator("#sort").select_option(order)
    rows: list[dict[str, Any]] = json.loads(await page.locator("#entries").text_content() or "")
    values = [rows[place].get(order, -1) for place in await shown(page)]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 1


async def test_models_are_compared_side_by_side(page: Page, batch: str) -> None:
    await page.goto(batch)
    await page.locator("#compare").click()
    assert await page.locator(".group h2").all_text_contents() == [PROMPTS[0]]
    assert await shown(page) == [1, 3]
    tops = await page.evaluate(
        "[1, 3].map((place) => document.querySelector(`#card-${place}`).getBoundingClientRect().top)"
    )
    assert tops[0] == tops[1]
    await page.get_by_role("button", name="Play together").click()
    for place in (1, 3):
        await until(page, PLAYS, place)
    await page.get_by_role("button", name="Play together").click()
    for place in (1, 3):
        await until(page, RESTS, place)
    await page.locator("#model").select_option(MODELS[2])
    assert await shown(page) == [1, 3]  # none is judged alone
    await page.locator("#search").fill("tea house")
    assert await shown(page) == []
    await page.locator("#search").fill("")
    await page.locator("#model").select_option("")
    await page.locator("#compare").click()
    assert await shown(page) == [0, 1, 2, 3, 4, 5]


async def test_a_video_leads_to_its_comparison(page: Page, batch: str) -> None:
    await page.goto(batch)
    await page.locator("#search").fill("turbo")
    await page.locator("#card-3 .frame").click()
    await page.locator("#alike").click()
    assert await shown(page) == [1, 3]
    await refocused(page, 3)


@pytest.mark.parametrize(
    ("button", "way", "place"),  # another place each time, as the clipboard outlives a page
    [("card", "clipboard", 1), ("card", "by hand", 2), ("viewer", "clipboard", 3), ("viewer", "by hand", 4)],
)
async def test_a_request_can_be_copied_also_where_the_clipboard_is_closed(
    page: Page, batch: str, button: str, way: str, place: int
) -> None:
    if way == "by hand":
        await page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    else:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto(batch)
    if button == "card":
        await page.locator(f"#card-{place} .copy").click()
    else:
        await page.locator(f"#card-{place} .frame").click()
        await page.locator("#copy").click()
    await until(page, "() => document.querySelector('#message').textContent === 'Request copied'")
    if button == "viewer":
        assert await page.locator("#viewer").is_visible()
        await page.keyboard.press("Escape")
        await refocused(page, place)
    request = from_dict(json.loads(await clipboard(page)))
    assert request == TextToVideo(PROMPTS[place - 1], model=MODELS[place - 1])


async def test_a_theme_that_was_chosen_is_remembered(page: Page, batch: str) -> None:
    await page.emulate_media(color_scheme="dark")
    await page.goto(batch)
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(ground)
    await page.locator("#theme").click()
    light = await page.evaluate(ground)
    assert light != dark
    await page.reload()
    assert await page.evaluate(ground) == light
    await page.locator("#theme").click()
    assert await page.evaluate(ground) == dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_texts_stand_out_from_their_ground(page: Page, batch: str, scheme: Any) -> None:
    await page.emulate_media(color_scheme=scheme)
    await page.goto(batch)
    names = ("paper", "card", "matte", "ink", "faint", "accent", "on-accent")
    read = "(names) => names.map((name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`))"
    colours: dict[str, str] = dict(zip(names, await page.evaluate(read, list(names)), strict=True))
    for text, ground in [("ink", "paper"), ("ink", "card"), ("faint", "paper"), ("faint", "card"), ("accent", "paper")]:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    assert contrast(colours["accent"], colours["matte"]) >= 3


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (WCAG 2.2, "contrast ratio")."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [part / 255 for part in bytes.fromhex(colour.strip().removeprefix("#"))]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


async def test_a_phone_shows_everything_without_scrolling_sideways(page: Page, batch: str) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(batch)
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not await page.evaluate(wide)
    await page.locator("#compare").click()
    assert not await page.evaluate(wide)
    await page.locator("#card-1 .frame").click()
    box = await page.locator("#viewer").bounding_box()
    assert box is not None
    assert (box["x"], box["width"]) == (0, 360)


LONG = (
    "generation failed: Could not detect a face in the image; use one that shows a face from the front, and try again"
)


async def test_a_phone_shows_whole_reasons_tags_and_the_copy_button(page: Page, tmp_path: Path) -> None:
    records = [
        record(0, request=TextToVideo("a", model=MODELS[0]), state=JobState.FAILED, error=GenerationFailed(LONG)),
        record(1, film(tmp_path / "1.mp4"), request=TextToVideo("a", model=MODELS[2]), tag="night shoot, take 3"),
    ]
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto(await gallery(tmp_path, records))
    await page.locator("#compare").click()
    reason = page.locator("#card-0 .reason")
    assert await reason.text_content() == LONG.removeprefix("generation failed: ")
    assert await reason.evaluate("(text) => text.scrollHeight <= text.clientHeight")
    frame = await page.locator("#card-0 .frame").bounding_box()
    box = await reason.bounding_box()
    assert frame is not None
    assert box is not None
    assert frame["y"] < box["y"] < box["y"] + box["height"] < frame["y"] + frame["height"]
    tag = page.locator("#card-1 .tag")
    assert await tag.evaluate("(tag) => tag.scrollWidth <= tag.clientWidth")
    assert await page.locator("#card-1 .copy").evaluate("(button) => getComputedStyle(button).opacity") == "1"


async def test_the_toolbar_ends_where_the_sheet_ends(page: Page, tmp_path: Path) -> None:
    await page.set_viewport_size({"width": 1280, "height": 900})
    await page.goto(await gallery(tmp_path, [record(0, film(tmp_path / "1.mp4"))]))
    right = "(part) => part.getBoundingClientRect().right"
    assert await page.locator("#theme").evaluate(right) == await page.locator("#sheet").evaluate(right)


async def test_what_failed_stands_out(page: Page, batch: str) -> None:
    await page.goto(batch)
    colour = "(text) => getComputedStyle(text).color"
    failed = await page.locator(f"#card-{FAILED} .notice strong").evaluate(colour)
    assert failed != await page.locator("#card-5 .notice strong").evaluate(colour)


async def test_the_films_of_the_sandbox_play_and_look_different(page: Page, tmp_path: Path) -> None:
    every = [SampleVideo(f"{n:030}", ratio=ratio) for ratio in ("16:9", "9:16", "1:1") for n in range(60)]
    films = {each.read(0, each.size - 30): each for each in every}  # without the ids
    assert len(films) == 24
    for number, each in enumerate(films.values()):
        (tmp_path / f"{number:02}.mp4").write_bytes(each.read(0, each.size))
    build(tmp_path, tmp_path, now=0.0)
    await page.goto((tmp_path / "index.html").as_uri())
    sizes, pictures = set(), set()
    for place in range(24):
        await page.locator(f"#card-{place}").scroll_into_view_if_needed()
        await until(page, FRAME, place)
        pictures.add(await page.locator(f"#card-{place} .frame").screenshot())
        sizes.add(tuple(await page.evaluate(f"(place) => [{FILM}.videoWidth, {FILM}.videoHeight]", place)))
    assert sizes == {(640, 360), (360, 640), (480, 480)}
    assert len(pictures) == 24
    for place in (0, 8, 16):  # one of each aspect ratio
        await page.locator(f"#card-{place} .frame").hover()
        await until(page, PLAYS, place)


async def test_nothing_in_a_request_is_run(page: Page, tmp_path: Path) -> None:
    records = [
        evolve(
            record(number, request=TextToVideo(text, negative_prompt=text, model=MODELS[0])), tag=text, key=f"k{number}"
        )
        for number, text in enumerate(HOSTILE)
    ]
    records.append(record(50, request=TextToVideo(HOSTILE[0], model=MODELS[2]), state=JobState.FAILED))
    await page.goto(await gallery(tmp_path, records))
    for place in range(len(HOSTILE)):
        await page.locator(f"#card-{place} .frame").click()
        await page.keyboard.press("Escape")
    await page.locator("#compare").click()
    assert await page.locator(".group h2").text_content() == HOSTILE[0]
    assert await page.evaluate("window.pwned") is None
    assert await page.evaluate("[document.scripts.length, document.images.length]") == [2, 0]


async def test_the_policy_stops_what_a_mistake_would_let_through(window: Page, batch: str) -> None:
    await window.goto(batch)
    blocked = await window.evaluate(
        """async () => {
            const broken = [];
            document.addEventListener("securitypolicyviolation", (event) => broken.push(event.effectiveDirective));
            document.body.insertAdjacentHTML("beforeend", "<img src=x><b onclick='window.pwned = 1'>x</b>");
            document.body.lastElementChild.click();
            await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
            return [broken.includes("img-src"), broken.includes("script-src-attr"), window.pwned ?? null];
        }"""
    )
    assert blocked == [True, True, None]


async def test_a_thousand_videos_are_not_fetched_before_they_are_looked_at(page: Page, tmp_path: Path) -> None:
    shared = ImageToVideo("data:image/png;base64," + "A" * 20_000, prompt="a raccoon")
    records = [
        record(
            number, film(tmp_path / f"{number}.mp4", b"%d" % number), request=shared if number % 2 else TextToVideo("?")
        )
        for number in range(1000)
    ]
    address = await gallery(tmp_path, records)
    assert (tmp_path / "page" / "index.html").stat().st_size < 4_000_000
    await page.goto(address)
    await until(page, FRAME, 0)
    assert await page.evaluate(f"{FILMS}.length") == 1000
    assert 0 < await page.evaluate(FETCHED) < 60
    await page.locator("#card-999").scroll_into_view_if_needed()
    await until(page, FRAME, 999)
    await until(page, f"(place) => {FILM}.networkState === 0", 0)  # what is far off is let go
    assert await page.evaluate(FETCHED) < 60
    await page.locator("#search").fill("raccoon")
    assert len(await shown(page)) == 500
    await until(page, FRAME, 1)  # what is found begins at the top


async def test_cards_are_no_list_items_which_chromium_counts_anew_for_each_that_hides(page: Page, batch: str) -> None:
    await page.goto(batch)
    display = "[...document.querySelectorAll('.card')].map((card) => getComputedStyle(card).display)"
    assert set(await page.evaluate(display)) == {"block"}
    assert await page.get_by_role("list").get_by_role("listitem").count() == 6


async def test_a_file_that_cannot_be_played_says_so(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film at all")
    await page.goto(await gallery(tmp_path, [record(1, broken), record(2, film(tmp_path / "good.mp4"))]))
    await until(page, "() => document.querySelector('#card-0 .notice strong')?.textContent === 'No picture'")
    await until(page, FRAME, 1)
    await page.locator("#card-0 .frame").click()
    await until(page, "() => !document.querySelector('#absence').hidden")
    await page.keyboard.press("ArrowRight")
    await until(page, "() => document.querySelector('#absence').hidden && !document.querySelector('#film').paused")


async def test_a_gallery_can_be_moved(page: Page, tmp_path: Path) -> None:
    await gallery(tmp_path, [record(1, film(tmp_path / "videos" / "1.mp4"))])
    moved = (tmp_path / "page").rename(tmp_path / "50% of #1?")
    await page.goto((moved / "index.html").as_uri())
    await until(page, FRAME, 0)
