from __future__ import annotations

from progress_samples import snapshot

from kling_async.cli.progress.display import render_line


def test_a_line_says_how_far_it_is() -> None:
    assert render_line(snapshot()) == (
        "0:14  12 of 24; 4 queued, 7 generating, 1 downloading, 11 done, 1 failed; "
        "88 requests, 6.2/s, 3 refused (429); about 0:08 left"
    )


def test_a_line_tells_of_refusals_only_where_there_were_any() -> None:
    assert "429" not in render_line(snapshot(throttled=0))


def test_a_line_does_not_guess_where_nothing_tells() -> None:
    assert "left" not in render_line(snapshot(left=None))


def test_a_line_does_not_guess_at_the_end() -> None:
    assert "left" not in render_line(snapshot(finished=24, left=0.0))


def test_a_line_says_why_nothing_is_submitted_any_more() -> None:
    assert render_line(snapshot(halted="403: out of credits")).endswith("; no more submits: 403: out of credits")


def test_a_line_says_what_is_spent_so_far() -> None:
    assert "; $1.40 spent; " in render_line(snapshot(spent=1.4))


def test_a_line_says_what_the_ledger_told_of_first() -> None:
    assert "; 1,234 told by the ledger, 2.1 s late; " in render_line(
        snapshot(ledger="1,234 told by the ledger, 2.1 s late")
    )


def test_a_long_reason_is_cut() -> None:
    assert len(render_line(snapshot(halted="word " * 100))) < 250
