from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from kling_async import JobState, LiveModel, ModelList, Pricing, TextToVideo, models, read_journal
from kling_async.api.account.models import UnitPrice
from kling_async.cli.commands.account import _price
from kling_async.cli.commands.sandbox import file_problem
from kling_async.sandbox import Faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from in_process import Answer

    from kling_async.sandbox import Sandbox

    Kling = Callable[..., Answer]

pytestmark = pytest.mark.kling_sandbox(speed=2000)
MASTER = "klingai/v2.1-master-text-to-video"


def bought(vendor: Sandbox) -> str:
    (generation_id,) = vendor.ledger.purchases
    return generation_id


def test_generate_prints_the_path_of_the_video(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    done = kling("generate", "A red fox!", "--duration", 5, "--set", "cfg_scale=0.5")
    path = tmp_path / done.out.strip()
    assert (done.code, path.parent.name) == (0, "videos")
    assert path.name.startswith("a-red-fox-")
    assert file_problem(path, None) is None
    assert f"accepted as {bought(vendor)}" in done.err
    (submit,) = vendor.ledger.submits
    assert submit.body == {"model": MASTER, "prompt": "A red fox!", "duration": 5, "cfg_scale": 0.5}
    assert list(path.parent.iterdir()) == [path]  # its journal has done its service


def test_generate_from_an_image(kling: Kling, vendor: Sandbox) -> None:
    done = kling("generate", "it blinks", "--image", "https://a.example/b.jpg", "--json")
    (printed,) = done.json_lines
    assert (done.code, printed["ok"], printed["generation_id"]) == (0, True, bought(vendor))
    assert printed["model"].endswith("image-to-video")
    assert printed["file"].startswith("videos")


def test_generate_again_keeps_what_is_there(kling: Kling, vendor: Sandbox) -> None:
    first, second = (kling("generate", "a fox").out for _ in range(2))
    assert first != second
    assert len(vendor.ledger.purchases) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["a fox", "--duration", "7"],
        [],
        ["a fox", "--set", "nonsense"],
        ["a fox", "--image", "none.jpg"],
        ["a fox", "-m", "klingai/v2.1-mastr-text-to-video"],
    ],
)
def test_a_request_that_cannot_be_sent_is_wrong_usage(arguments: list[str], kling: Kling, vendor: Sandbox) -> None:
    done = kling("generate", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("kling-async: ")
    assert not vendor.ledger.submits


def test_a_generation_that_fails_says_why(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    vendor.faults = Faults(error_outcome=1.0)
    done = kling("generate", "a fox", "--json")
    assert (done.code, [one["error"]["type"] for one in done.json_lines]) == (1, ["GenerationFailed"])
    assert not list(tmp_path.glob("videos/*"))
    assert "GenerationFailed: " in done.err


def test_a_video_that_cannot_be_had_now_is_paid_for_all_the_same(
    kling: Kling, vendor: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    # A folder is no file to write.
    monkeypatch.setattr("kling_async.cli.commands.batch.free_path", lambda *_: folder)
    done = kling("generate", "a fox")
    (journal,) = (tmp_path / "videos").glob("generate-*.db")
    assert done.code == 3
    assert "DownloadError: " in done.err
    assert f"accepted as {bought(vendor)}" in done.err
    assert f"kling-async resume {journal.relative_to(tmp_path)} -o videos" in done.err.replace("'", "")
    assert read_journal(journal).counts() == {JobState.COMPLETED: 1}


def test_a_refused_submit_fails(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    vendor.credits = 0.0
    done = kling("generate", "a fox")
    assert (done.code, done.out) == (1, "")
    assert "OutOfCredits: " in done.err
    assert not list(tmp_path.glob("videos/*"))


def test_download_by_id_and_fetch_tell_of_a_generation_bought_elsewhere(
    kling: Kling, vendor: Sandbox, tmp_path: Path
) -> None:
    kling("generate", "a fox")
    generation_id = bought(vendor)
    done = kling("download", generation_id, "-o", "here")
    assert done.code == 0
    assert file_problem(tmp_path / done.out.strip(), None) is None
    (printed,) = kling("download", generation_id, "-o", "here", "--json").json_lines
    assert printed["ok"]
    asked = kling("fetch", generation_id)
    assert (asked.code, asked.out.split()[0]) == (0, "completed")
    (printed,) = kling("fetch", generation_id, "--json").json_lines
    assert (printed["status"], printed["usd"]) == ("completed", 1.4)
    assert printed["url"] == asked.out.split()[1].strip() or printed["url"].startswith(vendor.url)


@pytest.mark.kling_sandbox(speed=1)
def test_fetch_tells_of_what_is_under_way(kling: Kling, vendor: Sandbox) -> None:
    async def buy() -> str:
        async with vendor.session() as session:
            return await session.submit(TextToVideo("a fox")).accepted()

    done = kling("fetch", asyncio.run(buy()))
    assert (done.code, done.out) == (3, "queued\n")


def test_fetch_tells_of_a_failure(kling: Kling, vendor: Sandbox) -> None:
    vendor.faults = Faults(error_outcome=1.0)
    kling("generate", "a fox")
    done = kling("fetch", bought(vendor))
    assert (done.code, done.out.split()[0]) == (1, "failed")
    assert len(done.out.split()) > 1


def test_an_id_nobody_knows_fails_in_a_line(kling: Kling, vendor: Sandbox) -> None:
    done = kling("fetch", "-unknown", "--base-url", vendor.url)
    assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1)
    assert "-unknown" in done.err


def test_balance_is_in_dollars(kling: Kling, vendor: Sandbox) -> None:
    vendor.credits = 1234.0
    assert kling("balance").out == "$12.34\n"
    assert kling("balance", "--json").json_lines == [{"usd": 12.34, "currency": "USD"}]


def test_a_wrong_key_fails_without_being_shown(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-very-secret")
    done = kling("balance", "--key-file", "key", "--base-url", vendor.url)
    assert (done.code, done.out) == (1, "")
    assert "401" in done.err
    assert "sk-very-secret" not in done.err


def test_logs_tell_what_was_charged(kling: Kling, vendor: Sandbox) -> None:
    for prompt in ("a", "b"):
        kling("generate", prompt, "--duration", 5)
    head, *rows = kling("logs").lines
    assert head.split() == ["time", "(UTC)", "status", "cost", "model", "key", "generation"]
    assert {row.split()[6] for row in rows} == set(vendor.ledger.purchases)
    assert {tuple(row.split()[2:5]) for row in rows} == {("succeeded", "$1.40", MASTER)}
    (only,) = kling("logs", "-n", 1, "--json", "--status", "succeeded", "-m", MASTER, "--period", "1h").json_lines
    assert only["key"] in vendor.ledger.by_key
    assert only["usd"] == 1.4


def test_a_period_of_another_form_is_wrong_usage(kling: Kling, vendor: Sandbox) -> None:
    assert kling("logs", "--period", "forever", "--base-url", vendor.url).code == 2


def test_cost_adds_up_by_model(kling: Kling, vendor: Sandbox, tmp_path: Path) -> None:
    other = "kling-video/v1.6/standard/text-to-video"
    (tmp_path / "b.csv").write_text(f"prompt,duration,model\na,5,\nb,5,\nc,5,{other}\nd,5,new/model\n")
    bad = kling("cost", "b.csv")
    assert (bad.code, bad.out) == (2, "")
    (tmp_path / "b.csv").write_text(
        f"prompt,duration,model,kind\na,5,,\nb,5,,\nc,5,{other},\nd,5,new/model,text-to-video\n"
    )
    done = kling("cost", "b.csv")
    assert done.code == 0
    assert [line.split() for line in done.lines[1:-1]] == [
        [other, "1", done.lines[1].split()[2]],
        [MASTER, "2", "$2.80"],
        ["new/model", "1", "unknown"],
    ]
    assert done.lines[-1].endswith(", and 1 video of unknown cost")
    assert "not known exactly: " in done.err
    *rows, last = kling("cost", "b.csv", "--json").json_lines
    assert [one["usd"] for one in rows][:2] == [1.4, 1.4]
    known = sum(one["usd"] for one in rows if one["usd"] is not None)
    assert last["total"]["usd"] == round(known, 9)
    assert (last["total"]["videos"], last["total"]["of_unknown_cost"]) == (4, 1)
    assert not vendor.ledger.submits


def test_models_lists_the_catalogue_without_asking_anybody(kling: Kling) -> None:
    done = kling("models")
    assert (done.code, done.err) == (0, "")
    assert {line.split()[0] for line in done.lines[1:]} == {model.id for model in models()}
    assert {fact["id"] for fact in kling("models", "--json").json_lines} == {model.id for model in models()}


@pytest.mark.parametrize("part", ["v2.1", "avatar", "text-to-video", "turbo"])
def test_models_can_be_chosen_by_what_they_are(part: str, kling: Kling) -> None:
    listed = kling("models", part).lines[1:]
    assert 0 < len(listed) < len(models())


def test_models_can_be_chosen_by_several_words_that_all_fit(kling: Kling) -> None:
    both = kling("models", "v3", "turbo").lines[1:]
    assert both == [line for line in kling("models", "turbo").lines[1:] if "v3" in line]
    assert 0 < len(both) < len(kling("models", "v3").lines[1:])
    assert kling("models", "v3", "nothing").code == 2


@pytest.mark.kling_sandbox(speed=2000, other_models={"new/model"})
@pytest.mark.usefixtures("vendor")
def test_a_model_nobody_knows_yet_can_be_used_by_its_kind(kling: Kling) -> None:
    assert kling("generate", "a fox", "-m", "new/model").code == 2
    assert kling("generate", "a fox", "-m", "new/model", "--kind", "text-to-video").code == 0


def test_a_model_is_explained(kling: Kling) -> None:
    head, _, titles, *fields = kling("models", MASTER).lines
    assert head == f"{MASTER}: text-to-video, usually 3:40 for 5 seconds of video"
    assert titles.split() == ["field", "takes"]
    assert fields[0].split()[:2] == ["prompt", "required"]


def test_a_model_nobody_knows_is_wrong_usage_with_the_nearest(kling: Kling) -> None:
    done = kling("models", "klingai/v2.1-mastr-text-to-video")
    assert (done.code, done.out) == (2, "")
    assert MASTER in done.err


def test_models_live_have_prices_and_news(kling: Kling, vendor: Sandbox) -> None:
    done = kling("models", "--live", "--base-url", vendor.url)
    assert done.lines[0].split()[-1] == "price"
    assert all(" per " in line for line in done.lines[1:])
    assert done.err
    explained = kling("models", MASTER, "--live")
    assert explained.lines[1].startswith("price: $")
    (printed,) = kling("models", MASTER, "--live", "--json").json_lines
    assert printed["price"] == explained.lines[1].removeprefix("price: ")


@pytest.mark.usefixtures("vendor")
def test_the_gallery_is_a_command_of_this_program(kling: Kling, tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("prompt\na\n")
    kling("batch", "b.csv")
    done = kling("gallery", "b.db")
    assert done.code == 0
    assert (tmp_path / done.out.strip()).is_file()


def test_a_status_of_nothing_fails_in_a_line(kling: Kling) -> None:
    done = kling("status", "none.db")
    assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1)


def test_prices_that_the_vendor_does_not_tell_are_not_made_up() -> None:
    rates = (UnitPrice(Decimal("0.5"), Decimal(1), "second"), UnitPrice(Decimal(3), Decimal(1), "video"))
    listing = ModelList(
        (
            LiveModel("whole", pricing=Pricing("fixed", rates[:1])),
            LiveModel("mixed", pricing=Pricing("variants", (*rates, UnitPrice(Decimal(1), Decimal(1), "second")))),
            LiveModel("none", pricing=Pricing("variable")),
            LiveModel("unread"),
        )
    )
    assert {name: _price(name, listing) for name in ("whole", "mixed", "none", "unread", "gone")} == {
        "whole": "$0.50 per second",
        "mixed": "$0.50 to $1.00 per second",
        "none": "unknown",
        "unread": "unknown",
        "gone": "not served any more",
    }
