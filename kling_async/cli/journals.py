"""Which journal a command means: a file, or the URL of a database; shared with other sessions, or its own."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias
from urllib.parse import urlsplit

from cyclopts import Parameter

from kling_async import ConfigurationError, read_journal
from kling_async.journal.open import is_url, journal_exists

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import Token

    from kling_async.cli.options import Connection

Place: TypeAlias = Path | str
"""A file's path, or a URL as a text."""

_PASSWORD = re.compile(r"(?<=//)([^/@:]*):[^/@]*(?=@)|(?<=[?&])\w*(?:password|secret|token)\w*=[^&]*")


def as_place(text: str) -> Place:
    """Return the place that a text names."""
    return text if is_url(text) else Path(text)


def _convert(_: object, tokens: Sequence[Token]) -> Place:
    return as_place(tokens[0].value)


JOURNAL: Parameter = Parameter(converter=_convert, n_tokens=1, metavar="PATH|URL")
JournalArgument = Annotated[Place, JOURNAL]

Shared = Annotated[
    bool,
    Parameter(
        negative="",
        help="Share the journal with other sessions of this machine that do, such as this command once more. A journal"
        " that was ever shared, and one in a database, is shared without being told.",
    ),
]


def shown(place: Place) -> str:
    """Return the place as people may see it: without a password."""
    return str(place) if isinstance(place, Path) else _PASSWORD.sub(r"\1", place)


def name_of(place: Place) -> str:
    """Return the name of a file without its ending, or that of a database."""
    path = os.path.realpath(place) if isinstance(place, Path) else urlsplit(place).path
    return Path(path).stem


def folder_of(place: Place) -> Path:
    """Return the folder that files may be beside: that of the journal's file, or else the present one."""
    return place.parent if isinstance(place, Path) else Path()


def is_shared_journal(place: Place, connection: Connection, *, wanted: bool) -> bool:
    """Return whether to share a journal: if that is wanted, or it ever was.

    Raises:
        ConfigurationError: The vendor is a sandbox that nobody else can reach.
        JournalError: It cannot be read.
    """
    shared = (
        wanted or isinstance(place, str) or (journal_exists(place) and read_journal(place).sharing(0.0) is not None)
    )
    if shared and connection.sandbox:
        raise ConfigurationError("--sandbox is within this command, so that no journal of it can be shared")
    return shared
