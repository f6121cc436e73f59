"""Making a journal in PostgreSQL smaller, while its members go on."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from kling_async.journal.postgres.address import read_url
from kling_async.journal.postgres.connection import Link, connected, postgres_errors
from kling_async.journal.postgres.schema import bring_up_to_date
from kling_async.journal.sql.prune import Pruned, prune

if TYPE_CHECKING:
    from kling_async.journal.postgres.connection import Link as _Link

_PATIENCE = 600.0  # seconds of silence after which a server is given up
_UNUSED = "used < now() - interval '1 hour'"  # else a job that needs it may just be coming


def prune_postgres(url: str, before: float, *, forget_keys: bool) -> Pruned:
    """Cut down what was over before this time; see `prune`.

    Raises:
        ConfigurationError: The URL cannot be used.
        JournalError: It cannot be done.
    """
    address = read_url(url)
    with connected(Link(address, patience=_PATIENCE)) as link, postgres_errors(address):
        bring_up_to_date(link)
        return prune(
            link, before, nullcontext, lambda used: _drop_media(link, used), forget_keys=forget_keys, is_shared=True
        )


def _drop_media(link: _Link, used: set[str]) -> int:
    return link.execute(f"DELETE FROM main.media WHERE {_UNUSED} AND digest <> ALL (?)", (sorted(used),)).rowcount
