"""Open a session from a command's options: the vendor or a sandbox, the API key, the settings."""

from __future__ import annotations

import os
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from kling_async import ConfigurationError, KlingSession, Limits, Reconciliation, Retry
from kling_async.api.arguments import checked_api_key
from kling_async.api.reprs import cut
from kling_async.cli.paths import read_file
from kling_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from kling_async.cli.journals import Place
    from kling_async.cli.options import Connection

_KEYS = ("AIMLAPI_API_KEY", "AIML_API_KEY")


@asynccontextmanager
async def open_session(
    connection: Connection,
    *,
    journal: Place | None = None,
    hold: bool = False,
    shared: bool = False,
    limits: Mapping[str, Any] | None = None,
    resubmit: bool = False,
    retries: int = 0,
) -> AsyncGenerator[KlingSession]:
    """Open a session with the vendor, or with a sandbox that is closed with it.

    Args:
        connection: The vendor's address and the key.
        journal: The journal, if there is to be one.
        hold: Whether queued jobs stay in the journal, or, if it is shared, the session never leads.
        shared: Whether the journal is shared with other sessions.
        limits: Settings of ``Limits``.
        resubmit: Whether uncertain submits that never show in the log are sent again (``Reconciliation(then=...)``).
        retries: How often each generation that fails is bought again (``Retry(failed=...)``).

    Raises:
        ConfigurationError: The options do not go together, or there is no API key.
        JournalError: The journal cannot be used.
    """
    url, key = connection.base_url, api_key(connection)
    async with AsyncExitStack() as stack:
        if connection.sandbox:
            seed = secrets.randbelow(2**32)  # so that no two runs' generations have the same ids
            sandbox = await stack.enter_async_context(Sandbox(speed=connection.effective_speed, seed=seed))
            url, key = sandbox.url, sandbox.api_key
        chosen = Limits(**(limits or {}))
        session = KlingSession(
            key,
            base_url=url,
            journal=journal,
            hold=hold,
            shared=shared,
            limits=chosen.at_speed(connection.effective_speed) if connection.sandbox else chosen,
            reconciliation=Reconciliation(then="resubmit" if resubmit else "report"),
            retry=Retry(failed=retries),
            **connection.network(),
        )
        yield await stack.enter_async_context(session)


def api_key(connection: Connection) -> str:
    """Return the API key; empty for a sandbox, which has its own.

    Raises:
        ConfigurationError: There is none, or the options do not go together.
    """
    connection.check()
    return "" if connection.sandbox else read_key(connection.key_file)


def has_key(connection: Connection) -> bool:
    """Tell whether there is an API key."""
    return connection.sandbox or connection.key_file is not None or any(map(os.environ.get, _KEYS))


def read_key(path: Path | None) -> str:
    """Read the API key from a file that holds it alone, or else from the environment.

    Raises:
        ConfigurationError: There is none, or the file cannot be read.
    """
    if path is None:
        key = next((value for name in _KEYS if (value := os.environ.get(name))), None)
        if key is None:
            raise ConfigurationError(
                "there is no API key: set AIMLAPI_API_KEY, name a file that holds it with --key-file, or try it"
                " without a key with --sandbox"
            )
        return checked_api_key(key)
    text = read_file(path, "the key file").decode("utf-8-sig", "replace")
    words = [text] if {"\0", "\ufffd"} & set(text) else text.split()
    if len(words) != 1:
        found = f"{len(words):,} words; it is to hold the key alone" if words else "no API key: it is empty"
        raise ConfigurationError(f"the key file {cut(str(path))} holds {found}")
    return checked_api_key(words[0], f"what the key file {cut(str(path))} holds")
