"""Where a journal's database is: its URL, taken apart so that no message shows a password."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import psycopg
from attrs import field, frozen
from psycopg import conninfo, pq

from kling_async.errors import ConfigurationError

DEFAULT_SCHEMA = "kling_async"

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,39}")
_SECRETS = re.compile(r"password|passfile|sslkey|secret|scram|token")
_DEFAULTS = {"application_name": "kling_async", "client_encoding": "utf8"}


@frozen
class Address:
    """A database, and the schema in it that has one account's journal.

    Attributes:
        conninfo: What libpq connects with; it may hold a password.
        schema: The schema's name.
        place: What messages call the journal: without user and password.
    """

    conninfo: str = field(repr=False)
    schema: str
    place: str

    @property
    def news(self) -> str:
        """The channel on which members tell that there is something new for the leader."""
        return f"{self.schema}:news"

    @property
    def changes(self) -> str:
        """The channel on which the leader tells that records have changed."""
        return f"{self.schema}:changes"

    @property
    def lease(self) -> str:
        """The channel on which the leader tells that it does so no more."""
        return f"{self.schema}:lease"

    def translated(self, statement: str) -> bytes:
        """Return a statement as PostgreSQL and its driver take it."""
        return _translated(statement, self.schema)

    def __str__(self) -> str:
        return self.place


@lru_cache(maxsize=1000)
def _translated(statement: str, schema: str) -> bytes:
    return statement.replace("?", "%s").replace("main.", f'"{schema}".').encode()


def read_url(url: str) -> Address:
    """Read ``postgresql://user@host:port/database?schema=kling_async&sslmode=verify-full``; libpq knows the parameters.

    Raises:
        ConfigurationError: It cannot be used; the message has nothing of it but the names of parameters.
    """
    base, _, query = url.partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    schema = dict(given).get("schema", DEFAULT_SCHEMA)
    if not _SCHEMA.fullmatch(schema):
        allowed = "up to 40 lower-case letters, digits and underscores"
        raise ConfigurationError(f"journal: the URL's schema is {schema!r:.80}; allowed: {allowed}")
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    unknown = sorted({name for name, _ in given} - known - {"schema"})
    if unknown:
        raise ConfigurationError(f"journal: its URL has parameters that PostgreSQL does not know: {unknown!r:.200}")
    others = urlencode([pair for pair in given if pair[0] != "schema"], safe="/")
    try:
        parts: dict[str, Any] = conninfo.conninfo_to_dict(f"{base}?{others.replace('+', '%20')}")
        place = _place(base, parts, schema)
    except (psycopg.Error, ValueError):
        form = "postgresql://user:password@host:port/database?schema=kling_async"
        raise ConfigurationError(
            f"journal: its URL cannot be read; allowed: {form}, special characters as %40"
        ) from None
    return Address(conninfo.make_conninfo(**(_DEFAULTS | parts)), schema, place)


def _place(base: str, parts: dict[str, Any], schema: str) -> str:
    hosts = str(parts.get("host") or parts.get("hostaddr") or "localhost").split(",")
    ports = [f":{port}" if port else "" for port in str(parts.get("port") or "").split(",")]
    shown: dict[str, str] = {}
    if hosts[0].startswith("/"):  # folders of sockets
        hosts, shown["host"] = [""], ",".join(hosts)
    if schema != DEFAULT_SCHEMA:
        shown["schema"] = schema
    reached = ",".join(map(str.__add__, hosts, ports if len(ports) > 1 else ports * len(hosts)))
    database = parts.get("dbname") or unquote(urlsplit(base).path).strip("/")
    return f"postgresql://{reached}/{database}" + (f"?{urlencode(shown, safe='/,')}" if shown else "")


def without_secrets(text: str, address: Address) -> str:
    """Return a message without anything secret that the address has."""
    for name, value in conninfo.conninfo_to_dict(address.conninfo).items():
        if _SECRETS.search(name) and value and len(str(value)) > 1:
            text = text.replace(str(value), "…")
    return text
