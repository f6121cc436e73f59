from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from gallery_samples import film, record

from kling_async import JobState, JournalError, TextToVideo
from kling_async.cli.gallery import live as serve
from kling_async.cli.terminal import Terminal
from kling_async.journal.sqlite.journal import SQLiteJournal
from kling_async.sandbox import Faults, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable
    from pathlib import Path

    from aiohttp import ClientResponse
    from playwright.async_api import Browser, Page

    from kling_async import Record

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_EVERY", 0.02)


async def write(path: Path, *records: Record) -> Path:
    journal = SQLiteJournal(path)
    await journal.open()
    for one in records:
        journal.append(one)
    await journal.close()
    return path


@asynccontextmanager
async def serving(journal: Path, host: str = "127.0.0.1") -> AsyncGenerator[tuple[ClientSession, str]]:
    async with serve.served(journal, host, 0, Terminal()) as address, ClientSession() as client:
        yield client, address


async def update(answer: ClientResponse) -> tuple[str, dict[str, Any]]:
    """The id and the data of the next event."""
    lines = []
    while line := (await answer.content.readline()).decode().rstrip("\n"):
        lines.append(line)
    event = dict(line.split(": ", 1) for line in lines if ": " in line)
    return event.get("id", ""), json.loads(event["data"])


async def version(client: ClientSession, address: str) -> str:
    async with client.get(address) as answer:
        return (await answer.text()).partition('data-live="')[2].partition('"')[0]


async def test_what_has_changed_is_sent_and_what_was_sent_is_not_sent_again(tmp_path: Path) -> None:
    journal = await write(tmp_path / "batch.db", record(0), record(1, state=JobState.PENDING, settled_at=None))
    async with serving(journal) as (client, address):
        seen = await version(client, address)
        async with client.get(f"{address}events?after={seen}") as answer:
            assert answer.content_type == "text/event-stream"
            await write(journal, record(1, film(tmp_path / "1.mp4")), record(2, state=JobState.QUEUED))
            name, data = await update(answer)
            cards = {card["place"]: card for card in data["cards"]}
            while len(cards) < 2:
                name, data = await update(answer)
                cards |= {card["place"]: card for card in data["cards"]}
            assert cards.keys() == {1, 2}
            assert cards[1]["entry"]["link"] == "video/1"
            assert 'data-link="video/1"' in cards[1]["card"]
            assert '<progress value="2" max="3"' in data["head"]
        await write(journal, record(2))
        headers = {"Last-Event-ID": name}
        async with client.get(f"{address}events?after={seen}", headers=headers) as answer:
            while not (cards := (await update(answer))[1]["cards"]):
                """How fast they end may be told before."""
            assert [card["place"] for card in cards] == [2]


async def test_a_page_of_a_server_that_has_ended_is_told_to_load_again(tmp_path: Path) -> None:
    journal = await write(tmp_path / "batch.db", record(0))
    async with serving(journal) as (client, address), client.get(f"{address}events?after=0badf00d-1") as answer:
        assert await answer.text() == "event: restart\ndata:\n\n"


async def test_a_page_of_which_records_have_gone_is_told_to_load_again(tmp_path: Path) -> None:
    journal = await write(tmp_path / "batch.db", record(0))
    other = await write(tmp_path / "other.db", record(1))
    async with serving(journal) as (client, address):
        seen = await version(client, address)
        async with client.get(f"{address}events?after={seen}") as answer:
            other.replace(journal)
            assert await answer.text() == "event: restart\ndata:\n\n"
        assert (await version(client, address)).partition("-")[0] != seen.partition("-")[0]


async def test_many_cards_come_in_several_messages_of_which_the_last_has_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "_AT_ONCE", 2)
    journal = await write(tmp_path / "batch.db", record(0))
    async with serving(journal) as (client, address):
        seen = await version(client, address)
        await write(journal, *(record(number) for number in range(1, 6)))
        async with client.get(f"{address}events?after={seen}") as answer:
            events = [await update(answer) for _ in range(3)]
    assert [len(data["cards"]) for _, data in events] == [2, 2, 1]
    assert [bool(name) for name, _ in events] == [False, False, True]


async def test_videos_are_served_in_parts_and_nothing_else_is(tmp_path: Path) -> None:
    path = film(tmp_path / "my #1.mp4")
    journal = await write(tmp_path / "batch.db", record(0, path), record(1))
    async with serving(journal) as (client, address):
        async with client.get(f"{address}video/0", headers={"Range": "bytes=4-7"}) as answer:
            assert (answer.status, await answer.read()) == (206, path.read_bytes()[4:8])
            assert answer.headers["Content-Disposition"] == "inline; filename*=UTF-8''my%20%231.mp4"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        for name in ("video/1", "video/7", "video/-1", "video/..%2Fbatch.db", "batch.db", "video/99999999999"):
            async with client.get(address + name) as answer:
                assert answer.status == 404, name
        for method in ("POST", "PUT", "DELETE"):
            async with client.request(method, address) as answer:
                assert answer.status == 405


async def test_a_website_cannot_have_it_read_by_a_name_of_its_own(tmp_path: Path) -> None:
    journal = await write(tmp_path / "batch.db", record(0))
    async with serving(journal) as (client, address):
        for host, status in [("evil.example", 403), ("localhost", 200), ("127.0.0.1:80", 200), ("[::1]:80", 200)]:
            async with client.get(address, headers={"Host": host}) as answer:
                assert answer.status == status, host
                assert "Access-Control-Allow-Origin" not in answer.headers


async def test_for_others_its_address_holds_a_secret(tmp_path: Path) -> None:
    journal = await write(tmp_path / "batch.db", record(0, film(tmp_path / "a.mp4")))
    async with serving(journal, "0.0.0.0") as (client, address):  # noqa: S104 - that is what is tested
        *_, port, secret = address.rstrip("/").replace("/", ":").split(":")
        assert len(secret) > 20
        here = f"http://127.0.0.1:{port}/"
        for path, status in [
            ("", 404),
            ("video/0", 404),
            ("events", 404),
            (f"{secret}/", 200),
            (f"{secret}/video/0", 200),
        ]:
            async with client.get(here + path) as answer:
                assert answer.status == status, path
    async with serving(journal, "0.0.0.0") as (_, another):  # noqa: S104 - likewise
        assert another.rpartition(":")[2].partition("/")[2].rstrip("/") != secret


async def test_what_is_no_journal_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("a text")
    for name in ("text.db", "nowhere/none.db"):
        with pytest.raises(JournalError):
            async with serving(tmp_path / name):
                pytest.fail("it was served")


async def test_a_batch_that_has_not_begun_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = tmp_path / "batch.db"
    async with serving(journal) as (client, address):
        seen = await version(client, address)
        async with client.get(address) as page:
            assert (page.status, "nothing yet" in await page.text()) == (200, True)
        async with client.get(f"{address}events?after={seen}") as answer:
            await write(journal, record(0))
            _, data = await update(answer)
    assert [card["place"] for card in data["cards"]] == [0]
    assert "the page is empty until a batch begins" in capsys.readouterr().err.replace("\n", " ")


async def test_a_journal_that_cannot_be_read_for_a_while_is_followed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = await write(tmp_path / "batch.db", record(0))
    async with serving(journal) as (client, address):
        seen = await version(client, address)
        journal.rename(tmp_path / "moved.db")
        async with client.get(f"{address}events?after={seen}") as answer:
            async with client.get(address) as page:
                assert page.status == 503
            (tmp_path / "moved.db").rename(journal)
            await write(journal, record(1))
            _, data = await update(answer)
    assert [card["place"] for card in data["cards"]] == [1]
    assert capsys.readouterr().err.count("warning: journal") <= 1


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page on which nothing goes wrong."""
    context = await browser.new_context(viewport={"width": 1000, "height": 700})
    page = await context.new_page()
    page.set_default_timeout(20_000)
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    yield page
    await context.close()
    assert troubles == []


STATES = "[...document.querySelectorAll('.card')].map((card) => card.querySelector('strong')?.textContent ?? 'Ready')"


async def states(page: Page, wanted: Iterable[str]) -> None:
    """The cards come to be in these states, in any order."""
    await page.wait_for_function(f"(wanted) => {STATES}.sort().join() === wanted", arg=",".join(sorted(wanted)))


async def test_a_browser_shows_a_batch_as_it_goes(page: Page, tmp_path: Path) -> None:
    journal = tmp_path / "batch.db"
    async with (
        Sandbox(speed=2000, faults=Faults(error_outcome={2})) as sandbox,
        sandbox.session(journal=journal) as kling,
    ):
        first = kling.submit(TextToVideo("A fox"), tag="day")
        await first
        async with serve.served(journal, "127.0.0.1", 0, Terminal()) as address:
            await page.goto(address)
            await states(page, ["Not downloaded"])
            assert not await page.locator("#compare").is_visible()
            await page.locator("#search").fill("fox")
            await page.locator("#card-0 .frame").focus()

            await kling.download(first, tmp_path / "a.mp4")
            await states(page, ["Ready"])
            film = "document.querySelector('#card-0 video')"
            await page.wait_for_function(f"() => {film}.currentTime > 0.2 && !{film}.paused")  # it has the focus still

            failing = await kling.submit(TextToVideo("An owl"), tag="night").settled()
            last = kling.submit(TextToVideo("A fox", model="kling-video/v1.6/standard/text-to-video"))
            await last
            await states(page, ["Ready", "Failed", "Not downloaded"])
            assert failing.exception() is not None
            assert await page.locator("#card-1").is_hidden()  # what was searched for still counts
            assert await page.locator("#compare").is_visible()
            assert await page.locator("#state option").all_text_contents() == [
                "All states",
                "Failed",
                "Not downloaded",
                "Ready",
            ]
            assert await page.locator(".outlook").text_content() == "all done"
            assert await page.title() == "batch.db"
            assert await page.locator("progress").get_attribute("value") == "3"

            await page.locator("#card-2 .frame").click()
            assert await page.locator("#absence strong").text_content() == "Not downloaded"
            await kling.download(last, tmp_path / "c.mp4")
            await page.wait_for_function("() => !document.querySelector('#film').hidden")  # in the open viewer, too
        await page.wait_for_selector(".lost", state="attached")


async def test_a_browser_shows_who_leads(page: Page, tmp_path: Path) -> None:
    journal = tmp_path / "shared.db"
    async with Sandbox(speed=2000) as sandbox, sandbox.session(journal=journal, shared=True) as kling:
        await kling.submit(TextToVideo("A fox"))
        async with serve.served(journal, "127.0.0.1", 0, Terminal()) as address:
            await page.goto(address)
            await states(page, ["Not downloaded"])
            await page.wait_for_function(
                "() => document.querySelector('.headline').textContent.includes(' leads, for ')"
            )
