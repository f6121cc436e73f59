"""A search of the log counts what it shows from when it was asked for, by the vendor's clock, or earlier."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kling_async.engine.log_search import LogSearch


@pytest.mark.parametrize(
    ("sent_at", "wall", "asked_at"),
    [
        pytest.param(1003.0, 1003.0, 1000.0, id="at once"),
        pytest.param(8200.0, 8200.0, 1000.0, id="both machines slept before it came"),
        pytest.param(1300.0, 1000.0, 1300.0, id="the vendor's clock is ahead"),
        pytest.param(5000.0, 400.0, 5000.0, id="this machine's was set back before it came"),
    ],
)
def test_a_page_is_as_old_as_its_request(sent_at: float, wall: float, asked_at: float) -> None:
    search = LogSearch(begun=0.0, wall=1000.0, skew=0.0, rows={})
    search.compare(datetime.fromtimestamp(sent_at, UTC), wall)
    assert (search.asked_at, search.ahead) == (asked_at, sent_at - wall)
    search.compare(datetime.fromtimestamp(1.0, UTC), 1.0)  # of a later page
    assert search.asked_at == asked_at


def test_a_page_without_a_date_tells_no_time() -> None:
    search = LogSearch(begun=0.0, wall=1000.0, skew=0.0, rows={})
    search.compare(None, 1000.0)
    assert (search.asked_at, search.ahead) == (None, None)
