"""Start and stop a sandbox: on the running loop, or in a thread of its own."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from anyio.from_thread import start_blocking_portal
from attrs import define, field

from kling_async.api.arguments import bad_setting
from kling_async.errors import ConfigurationError
from kling_async.sandbox.routes import make_application
from kling_async.sandbox.settings import Settings
from kling_async.sandbox.vendor import Vendor

if TYPE_CHECKING:
    from types import TracebackType

    from kling_async.sandbox.ledger import CallRecorder
    from kling_async.session import KlingSession


class SandboxThread:
    """Serves a sandbox from a thread of its own, for code without an event loop, or with one not to be shared.

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


@define(kw_only=True, eq=False, repr=False, slots=False)
class Sandbox(Settings):
    """A local vendor: the real one's API on loopback, with its time sped up and faults of your choice.

    ::

        async with Sandbox(speed=600, faults=Faults(drop_after={2})) as sandbox, sandbox.session() as kling:
            video = await kling.submit(TextToVideo("a white raccoon"))
        assert all(len(bought) == 1 for bought in sandbox.ledger.by_key.values())

    It serves on the running loop while the ``async with`` lasts; ``SandboxThread`` gives it a loop of its own. Stopped
    and entered again it continues at the same address, as after an outage: what was bought is still there, and its
    time has passed.

    Its settings are those of ``Settings``. Everything public may be read, called and assigned from any thread.
    """

    _vendor: Vendor = field(init=False)
    _runner: web.AppRunner | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._vendor = Vendor(self)

    @property
    def url(self) -> str:
        """The ``base_url`` for a session, with the prefix. Known once it was started.

        Raises:
            ConfigurationError: It was never started, and was given no port.
        """
        if not self.port:
            raise ConfigurationError("a sandbox has no url before it is started, unless it is given a port")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.prefix}"

    @property
    def ledger(self) -> CallRecorder:
        """The record of what was bought, asked and fetched so far."""
        return self._vendor.ledger

    def revoke_key(self) -> None:
        """Answer every further request that needs the key with 401."""
        self._vendor.limits.is_revoked = True

    def restore_key(self) -> None:
        """Accept the key again."""
        self._vendor.limits.is_revoked = False

    def session(self, **settings: Any) -> KlingSession:  # noqa: ANN401 - KlingSession's own parameters, passed on
        """Return a session with this sandbox, which goes by its time; see `kling_async.KlingSession.vendor_speed`.

        Args:
            settings: Parameters of ``KlingSession``, which replace those set here.
        """
        from kling_async.session import KlingSession  # noqa: PLC0415 - a server alone needs no session
        from kling_async.settings import Limits, Polling, Reconciliation, Timeouts  # noqa: PLC0415 - likewise

        here: dict[str, Any] = {
            "api_key": self.api_key,
            "base_url": self.url,
            "trust_env": False,
            "allow_http": True,
            "limits": Limits().at_speed(self.speed),
            "polling": Polling().at_speed(self.speed),
            "reconciliation": Reconciliation().at_speed(self.speed),
            "timeouts": Timeouts().at_speed(self.speed),
        }
        return KlingSession(**(here | settings))

    async def __aenter__(self) -> Self:
        if self._runner is not None:
            raise ConfigurationError(f"the sandbox is running already, at {self.url}")
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            message = "a sandbox serves on asyncio's event loop, and here is none, as under trio; SandboxThread has one"
            raise ConfigurationError(message) from None
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1)
        self._runner = runner
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
        except BaseException:
            await self._stop(runner)
            raise
        self.port: int = runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._stop(self._runner)

    def _application(self) -> web.Application:
        return make_application(self._vendor)

    async def _stop(self, runner: web.AppRunner) -> None:
        self._runner = None
        await runner.cleanup()

    def __repr__(self) -> str:
        state = self.url if self._runner is not None else "stopped"
        return f"<Sandbox {state} speed={self.speed:g} seed={self.seed} {self.ledger!r}>"
