from __future__ import annotations

import io
from decimal import Decimal

import pytest
from progress_samples import row, snapshot
from rich.console import Console

from kling_async.cli.progress.display import render

ROWS = tuple(row(name=f"{n:02}-a-name-of-some-length", age=n * 100.0, share=n / 12) for n in range(12))


def drawn(width: int, **known: object) -> list[str]:
    console = Console(file=io.StringIO(), width=width, record=True, highlight=False, markup=False, emoji=False)
    console.print(render(snapshot(**known), width))
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [20, 40, 80, 110, 200])
def test_rendering_is_never_wider_than_the_terminal_and_has_a_line_a_row(width: int) -> None:
    lines = drawn(width, rows=ROWS, more=7)
    assert max(map(len, lines)) <= width
    assert len(lines) == 1 + 3 + 1 + len(ROWS) + 1


def test_rendering_of_80_columns_names_each_job_its_model_status_and_age() -> None:
    lines = drawn(80, rows=ROWS)
    assert lines[6].startswith("01-a-name-of-some-leng")
    assert lines[6].split()[-3:] == ["v2.1-master-text-to-video", "generating", "1:40"]


def test_a_narrow_rendering_leaves_out_the_models() -> None:
    assert drawn(44, rows=ROWS)[6].split()[-2:] == ["generating", "1:40"]
    assert drawn(44, rows=ROWS)[6].startswith("01-a-name-of-some")


def test_rendering_of_200_columns_shows_whole_prompts_bars_and_polls() -> None:
    line = drawn(200, rows=ROWS)[6]
    assert "A red fox runs across the rooftops of Lisbon, tiles slipping under its paws" in line
    assert "\N{BOX DRAWINGS HEAVY HORIZONTAL}" in line
    assert line.rstrip().endswith("3 polls")


def test_a_wide_terminal_gives_its_room_to_the_bars_and_not_to_a_gap() -> None:
    line = drawn(200, rows=(row(prompt="A red fox"), row()))[6]
    words = "A red fox runs across the rooftops of Lisbon, tiles slipping under its paws"
    assert f"{words}   v2.1-master-text-to-video" in line
    assert line.count("\N{BOX DRAWINGS HEAVY HORIZONTAL}") > 16


def test_the_head_says_how_many_are_done_and_how_long_it_takes_yet() -> None:
    _, bar, stages, rates = drawn(80)
    assert bar.endswith("12 of 24 0:14, about 0:08 left")
    assert stages.split("   ") == ["4 queued", "7 generating", "1 downloading", "11 done", "1 failed"]
    assert rates.split("   ") == ["88 requests", "6.2/s", "3 refused (429)"]


@pytest.mark.parametrize("known", [{"left": None}, {"finished": 24}])
def test_the_head_does_not_guess_where_there_is_nothing_to_guess(known: dict[str, object]) -> None:
    assert drawn(80, **known)[1].endswith(" 0:14")


def test_a_pause_and_a_halt_are_told() -> None:
    rates = drawn(120, paused_for=1.25, halted="403: out of credits")[3]
    assert "held for 1.2 s" in rates
    assert "no more submits: 403: out of credits" in rates


def test_what_is_spent_is_told() -> None:
    assert drawn(120, spent=Decimal("0.056"))[3].split("   ")[-1] == "$0.056 spent"


def test_jobs_there_is_no_room_for_are_counted() -> None:
    assert drawn(80, rows=ROWS, more=9_988)[-1] == "and 9,988 more"


def test_a_prompt_is_not_read_as_markup() -> None:
    lines = drawn(200, rows=(row(prompt="[red]a[/red] :fox: [link=x]b"),))
    assert "[red]a[/red] :fox: [link=x]b" in lines[-1]


def test_a_session_without_jobs_can_be_drawn() -> None:
    assert drawn(80, total=0, finished=0, counts=())[1].rstrip().endswith("0 of 0 0:14")
