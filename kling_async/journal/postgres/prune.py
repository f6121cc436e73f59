"""Making a journal in PostgreSQL smaller, while its members go on."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

from kling_async.journal.postgres.address import read_url
from kling_async.journal.postgres.connection import Link, connected, postgres_errors
from kling_async.journal.postgres.schema import bring_up_to_date
from kling_async.journal.sql.prune import Pruned, media_in_use, prune

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
        drop_media = partial(drop_unused_media, link)
        return prune(link, before, nullcontext, drop_media, forget_keys=forget_keys, is_shared=True)


def drop_unused_media(link: Link) -> int:
    """Remove the media that no job may still have to be sent with."""
    if link.execute(f"SELECT 1 FROM main.media WHERE {_UNUSED} LIMIT 1").fetchone() is None:
        return 0
    unused = f"DELETE FROM main.media WHERE {_UNUSED} AND digest <> ALL (?)"
    return link.execute(unused, (sorted(media_in_use(link)),)).rowcount
