"""A sandbox in a thread of its own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from anyio.from_thread import start_blocking_portal

from kling_async.api.arguments import bad_setting
from kling_async.sandbox.server import Sandbox

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["SandboxThread"]


class SandboxThread:
    """Serves a sandbox from a thread of its own, for code that has no loop, or whose loop is not to be shared.

    ::

        with SandboxThread(Sandbox(speed=600)) as sandbox:
            subprocess.run(["my-tool", "--base-url", sandbox.url], check=True)

    Entering returns the sandbox once it serves, and raises what its start raised, such as an ``OSError`` for a port
    that is taken. Leaving returns once nothing of it runs any more. It may be entered again afterwards.
    """

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        if not (sandbox is None or isinstance(sandbox, Sandbox)):
            raise bad_setting("sandbox", sandbox, "None or a Sandbox")
        self._sandbox = sandbox if sandbox is not None else Sandbox()
        self._running = ExitStack()

    def __enter__(self) -> Sandbox:
        with ExitStack() as starting:
            portal = starting.enter_context(start_blocking_portal())
            starting.enter_context(portal.wrap_async_context_manager(self._sandbox))
            self._running = starting.pop_all()
        return self._sandbox

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def __repr__(self) -> str:
        return f"<SandboxThread {self._sandbox!r}>"
