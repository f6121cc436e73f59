"""Options that many commands share, and the session that they make."""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

from attrs import fields, frozen
from cyclopts import Parameter
from cyclopts.types import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from kling_async import ConfigurationError, KlingSession, Limits, Reconciliation, Retry
from kling_async.api.arguments import checked_api_key
from kling_async.api.reprs import cut
from kling_async.cli.paths import read_file

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable


_T = TypeVar("_T")
_KEYS = ("AIMLAPI_API_KEY", "AIML_API_KEY")
_SANDBOX_SPEED = 60.0
_NETWORK = Parameter(group="Network")

Output = Annotated[
    Path, Parameter(name=("--output", "-o"), help="The folder for the videos. Nothing in it is replaced.")
]

AsJson = Annotated[
    bool, Parameter(name="--json", help="Print one JSON object a line instead; messages go to standard error as ever.")
]


@Parameter(name="*", group="Vendor")
@frozen(kw_only=True)
class Connection:
    """The vendor's address and the key's file. The key itself is no option: everybody on the machine can see those."""

    sandbox: bool = False
    """Try it without a key or a bill: with a stand-in for the vendor, which starts and ends with this command."""
    base_url: str | None = None
    """Where the API is, such as a gateway before it; by default what is in AIMLAPI_BASE_URL, or else the vendor's."""
    key_file: Path | None = None
    """A file with the API key in it; by default the key is in the environment, in AIMLAPI_API_KEY."""
    speed: PositiveFloat | None = None
    """How many times as fast as the vendor's the time of --sandbox passes; 60 by default."""

    proxy: Annotated[str | None, _NETWORK] = None
    """The proxy to go by, such as http://proxy.example.com:3128; by default what is in HTTPS_PROXY, but not for hosts
    in NO_PROXY. One with a password, http://user:password@proxy.example.com:3128, goes into HTTPS_PROXY."""
    ca_file: Annotated[Path | None, _NETWORK] = None
    """A PEM file with the CAs to trust, and no others; by default the system's, and those in SSL_CERT_FILE."""
    header: Annotated[tuple[str, ...], _NETWORK, Parameter(negative="", metavar='"NAME: VALUE"')] = ()
    """A header to send to the API as well; may be given several times."""
    user_agent: Annotated[str | None, _NETWORK] = None
    """What to call this client in requests, instead of its own name and version."""
    allow_http: Annotated[bool, _NETWORK] = False
    """Let the base URL be http:// on another machine, such as a sandbox in another container. The key can be read on
    the way."""
    no_trust_env: Annotated[bool, _NETWORK] = False
    """Do without the proxies that the environment names."""

    @property
    def effective_speed(self) -> float:
        """The speed of ``--sandbox``."""
        return self.speed or _SANDBOX_SPEED

    def check(self) -> None:
        """Check that the options go together.

        Raises:
            ConfigurationError: They do not.
        """
        if self.sandbox and self != Connection(sandbox=True, speed=self.speed):
            raise ConfigurationError("--sandbox is within this command: leave out all other options about the vendor")
        if self.speed is not None and not self.sandbox:
            raise ConfigurationError("--speed is that of --sandbox; any other sandbox says its own by itself")
        if "@" in (self.proxy or ""):
            raise ConfigurationError("--proxy takes no password, as everybody can see options: put it into HTTPS_PROXY")

    def network(self) -> dict[str, Any]:
        """Return the parameters of ``KlingSession`` about the way to the vendor.

        Raises:
            ConfigurationError: A header is not one.
        """
        parts = [one.partition(":") for one in self.header]
        if not all(colon for _, colon, _ in parts):
            raise ConfigurationError('--header takes "NAME: VALUE"')
        return {
            "proxy": self.proxy,
            "ssl": self.ca_file,
            "headers": {name.strip(): value.strip() for name, _, value in parts},
            "user_agent": self.user_agent,
            "allow_http": self.allow_http,
            "trust_env": not (self.no_trust_env or self.sandbox),
        }

    def arguments(self) -> list[str]:
        """Return the options as command-line arguments, but for those of ``--sandbox``."""
        return _as_arguments(self, "sandbox", "speed")


CONNECTION = Connection()


@Parameter(name="*", group="Limits")
@frozen(kw_only=True)
class Running:
    """Limits on concurrency, rate and spending."""

    max_in_flight: PositiveInt | None = None
    """How many generations may be at the vendor at once. [default: 1000]"""
    rate: PositiveFloat | None = None
    """The most requests per second; by default it begins with 10 and adapts to what the vendor takes."""
    max_spend: NonNegativeFloat | None = None
    """Stop before the journal's jobs could cost more than so many US dollars in all, by the vendor's price list."""
    allow_unpriced: bool = False
    """With --max-spend, also submit what has no known price."""
    resubmit: bool = False
    """Send once more what was sent without an answer, as in a crash, and is in the vendor's log not even an hour later;
    by default that is left as uncertain, since it may have been bought."""

    retry: NonNegativeInt = 0
    """How often, in all runs together, each video that fails is made again at once, as failures are not charged; not if
    it fails for its content."""
    retry_failed: Annotated[bool | Literal["all"], Parameter(metavar="[=all]", show_choices=False)] = False
    """Make again what has failed before, uncharged; with =all also what failed or was refused for its content."""

    def limits(self) -> Limits:
        """Return the ``Limits`` of a session."""
        names = {"max_in_flight": "max_in_flight", "rate": "requests_per_second", "max_spend": "max_spend_usd"}
        given = {setting: getattr(self, name) for name, setting in names.items() if getattr(self, name) is not None}
        return Limits(**given, allow_unpriced=self.allow_unpriced)

    def arguments(self) -> list[str]:
        """Return the options as command-line arguments, but for ``--retry-failed``, which is for one run."""
        return _as_arguments(self, "retry_failed")


RUNNING = Running()


def _as_arguments(options: Connection | Running, *without: str) -> list[str]:
    """Format options that were given as command-line arguments."""
    words: list[str] = []
    for part in fields(type(options)):
        value: object = getattr(options, part.name)
        flag = f"--{part.name.replace('_', '-')}"
        if value == part.default or part.name in without:
            continue
        if value is True:
            words.append(flag)
        else:
            every = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
            for each in every:
                words += [flag, f"{each:g}" if isinstance(each, float) else str(each)]
    return words


@asynccontextmanager
async def open_session(
    connection: Connection,
    running: Running = RUNNING,
    **settings: Any,  # noqa: ANN401 - KlingSession's own parameters, passed on
) -> AsyncGenerator[KlingSession]:
    """Open a session with the vendor, or with a sandbox that is closed with it.

    Args:
        connection: The vendor's address and the key.
        running: Limits, and what is tried again.
        settings: Other parameters of ``KlingSession``.

    Raises:
        ConfigurationError: The options do not go together, or there is no API key.
        JournalError: The journal cannot be used.
    """
    url, key, limits = connection.base_url, api_key(connection), running.limits()
    async with AsyncExitStack() as stack:
        if connection.sandbox:
            from kling_async.sandbox import Sandbox  # noqa: PLC0415 - a server, which nothing else needs

            seed = secrets.randbelow(2**32)  # so that no two runs' generations have the same ids
            sandbox = await stack.enter_async_context(Sandbox(speed=connection.effective_speed, seed=seed))
            url, key, limits = sandbox.url, sandbox.api_key, limits.at_speed(sandbox.speed)
        session = KlingSession(
            key,
            base_url=url,
            limits=limits,
            reconciliation=Reconciliation(then="resubmit" if running.resubmit else "report"),
            retry=Retry(failed=running.retry),
            **connection.network(),
            **settings,
        )
        yield await stack.enter_async_context(session)


def ask(connection: Connection, question: Callable[[KlingSession], Awaitable[_T]]) -> _T:
    """Open a session, ask it one thing, and return the answer; it raises like ``open_session``."""

    async def asked() -> _T:
        async with open_session(connection) as kling:
            return await question(kling)

    return asyncio.run(asked())


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
