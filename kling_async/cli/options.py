"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from attrs import frozen
from cyclopts import Parameter
from cyclopts.types import NonNegativeFloat, PositiveFloat, PositiveInt

from kling_async import ConfigurationError

_SANDBOX_SPEED = 60.0

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
    """Where the API is, such as a proxy; by default what is in AIMLAPI_BASE_URL, or else the vendor's address."""
    key_file: Path | None = None
    """A file with the API key in it; by default the key is in the environment, in AIMLAPI_API_KEY."""
    speed: PositiveFloat | None = None
    """How many times as fast as the vendor's a sandbox's time passes; 60 with --sandbox, else 1, as at the vendor."""

    @property
    def effective_speed(self) -> float:
        """The speed of the vendor's time: ``speed`` if given, else 60 with a sandbox and 1 without."""
        return self.speed or (_SANDBOX_SPEED if self.sandbox else 1.0)

    def check(self) -> None:
        """Check that the options go together.

        Raises:
            ConfigurationError: They do not.
        """
        if self.sandbox and (self.base_url is not None or self.key_file is not None):
            raise ConfigurationError("--sandbox has its own address and key: leave out --base-url and --key-file")

    def arguments(self) -> list[str]:
        """Return the options as command-line arguments."""
        return _as_arguments(base_url=self.base_url, key_file=self.key_file, speed=self.speed)


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

    def limits(self) -> dict[str, Any]:
        """Return the settings of ``Limits`` that were given."""
        given = {
            "max_in_flight": self.max_in_flight,
            "requests_per_second": self.rate,
            "max_spend_usd": self.max_spend,
        }
        return {name: value for name, value in given.items() if value is not None} | {
            "allow_unpriced": self.allow_unpriced
        }

    def arguments(self) -> list[str]:
        """Return the options as command-line arguments."""
        flags = {"--allow-unpriced": self.allow_unpriced, "--resubmit": self.resubmit}
        given = [flag for flag, is_given in flags.items() if is_given]
        return _as_arguments(max_in_flight=self.max_in_flight, rate=self.rate, max_spend=self.max_spend) + given


RUNNING = Running()


def _as_arguments(**values: object) -> list[str]:
    """Format options with values as command-line arguments; None is left out."""
    given = {name: value for name, value in values.items() if value is not None}
    return [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", _shown(value))]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
