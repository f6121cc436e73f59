"""A pytest plugin: the fixture ``kling_sandbox``.

It is found by pytest wherever this library is installed, needs no asynchronous plugin, and gets along with any. ::

    @pytest.mark.kling_sandbox(speed=600, credits=300)  # on a class or a module, too: what is nearer wins
    def test_my_pipeline(kling_sandbox):
        kling_sandbox.faults = Faults(drop_after={1})
        asyncio.run(my_pipeline(base_url=kling_sandbox.url, api_key=kling_sandbox.api_key))
        assert len(kling_sandbox.ledger.purchases) == 1
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kling_async.sandbox.server import Sandbox

_MARKER = "kling_sandbox"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "kling_sandbox(**settings): how the kling_sandbox fixture sets its Sandbox up")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Check that markers have keyword arguments alone.

    Raises:
        pytest.UsageError: One does not.
    """
    for item in items:
        if any(marker.args for marker in item.iter_markers(_MARKER)):
            raise pytest.UsageError(f"{item.nodeid}: kling_sandbox takes settings by their names, such as speed=600")


@pytest.fixture
def kling_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Serve a sandbox from a thread for one test; the marker of the same name sets it up."""
    # Imported here: pytest loads this plugin also where no test asks for the fixture.
    from kling_async.sandbox.server import Sandbox, SandboxThread  # noqa: PLC0415 - as said above

    with SandboxThread(Sandbox(**_settings(request))) as sandbox:
        yield sandbox


def _settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Merge the settings of all markers that apply to the test; the nearest wins."""
    markers: list[pytest.Mark] = list(request.node.iter_markers(_MARKER))
    return {name: value for marker in reversed(markers) for name, value in marker.kwargs.items()}
