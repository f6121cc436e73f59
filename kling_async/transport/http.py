"""The transport that sends over HTTP, by aiohttp's client."""

from __future__ import annotations

import asyncio
import math
import re
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import cache
from inspect import signature
from io import BytesIO
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from aiohttp.hdrs import CONTENT_ENCODING, LOCATION
from attrs import frozen
from yarl import URL

from kling_async.api.arguments import bad_setting, checked_api_key
from kling_async.api.messages import HttpRequest, HttpResponse, Lane
from kling_async.api.protocol import SANDBOX_KEY, SANDBOX_PATH, SANDBOX_SPEED, answers
from kling_async.errors import ConfigurationError, TransportError
from kling_async.settings import Timeouts
from kling_async.transport.connections import (
    CLIENT_ERRORS,
    FREE,
    PROXY_WANTS_LOGIN,
    Progress,
    Request,
    Response,
    drop_connection,
    sending_trace,
    translated,
)
from kling_async.transport.decoding import Decoder
from kling_async.transport.options import Proxies, check_value, checked_headers, checked_ssl
from kling_async.transport.urls import bare, checked_base_url, checked_file_url, is_loopback, is_plain, unusable

if TYPE_CHECKING:
    import os
    import ssl as tls
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping
    from types import TracebackType

_SUBMIT, _FILE = Lane.SUBMIT, Lane.FILE  # looked up for every request: members of their Enum take five times as long
_BODY_CAP = 4 * 1024 * 1024
_HEADER_LINE = 64 * 1024  # bytes; aiohttp's own 8,190 is less than what browsers, curl and httpx take
_HEADER_LINES = 1024  # aiohttp's own are 128, in releases that count them
_PIECE = 64 * 1024  # bytes of a body that are sent at once
_SLOW_LINE = 100_000  # bytes per second
_FILE_BUFFER = 256 * 1024  # bytes; aiohttp pauses reading at twice as much
_MAX_REDIRECTS = 5
_SANDBOX_ANSWERS, _SANDBOX_TRIES = 2.0, 3  # seconds; requests
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FILE_HEADERS = frozenset({"accept", "if-range", "range"})
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")  # in which JSON may come, too
_MASK = b"[api key]"


class HttpTransport:
    """Sends over HTTP, with separate connections for submits, other calls, and files.

    An async context manager: its connections belong to the loop it was entered on, and are closed once it is left. It
    may be left from any task, and more than once.

    Each submit has a connection of its own, so that a kept-alive connection the vendor has dropped can never leave a
    submit's outcome unknown. Polls and account calls share kept-alive ones. The number of connections is not limited
    here. Files are fetched without the key, over https unless their host is this machine.

    Args:
        api_key: Sent to ``base_url`` and nowhere else; never shown.
        base_url: The URL of the vendor's API or of a gateway: https, or http on this machine; it precedes targets.
        timeouts: The limits on exchanges; ``Timeouts()`` by default.
        proxy, trust_env, ssl, headers, user_agent, allow_http: As for `KlingSession`. Passwords are not read from
            ``.netrc``, as aiohttp's option ``trust_env`` would.
        body_cap: The most bytes an API's answer may have, before and after decompression. 4 MiB: a full page of the
            account's log is a tenth of that.

    Raises:
        ConfigurationError: The key or the base URL cannot be used.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str,
        timeouts: Timeouts | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        ssl: tls.SSLContext | str | os.PathLike[str] | None = None,
        headers: Mapping[str, str] | None = None,
        user_agent: str | None = None,
        allow_http: bool = False,
        body_cap: int = _BODY_CAP,
    ) -> None:
        for name, value in (("trust_env", trust_env), ("allow_http", allow_http)):
            if not isinstance(value, bool):
                raise bad_setting(name, value, "True or False")
        self._key = checked_api_key(api_key)
        # Not a session's headers, which aiohttp passes on to the proxy, and not for files.
        self._headers = {**checked_headers(headers), "Authorization": f"Bearer {self._key}"}
        self._secret = self._key.encode()
        self._escaped = re.compile(
            b"".join(rb"\\?(?:%b|u00(?i:%02x))" % (re.escape(bytes((code,))), code) for code in self._secret)
        )
        self._base = checked_base_url(base_url, allow_http=allow_http)
        root = URL(self._base, encoded=True)
        self._scheme, self._authority, self._prefix = root.scheme, root.raw_authority, root.raw_path.rstrip("/")
        self._plain_host = root.host if allow_http else None
        self._timeouts = Timeouts() if timeouts is None else timeouts
        self._ssl = checked_ssl(ssl, trust_env=trust_env)
        self._agent = _default_user_agent() if user_agent is None else user_agent
        check_value("user_agent", self._agent)
        self._cap = body_cap
        self._proxies = Proxies.of(proxy, trust_env=trust_env)
        self._proxy = self._proxies.find(self._base)
        if self._proxy and root.scheme == "http" and not (allow_http or is_loopback(self._proxy.host or "")):
            raise ConfigurationError(
                "proxy would get the key in plain text, as base_url is http; allow_http=True allows it"
            )
        self._sessions: dict[Lane, aiohttp.ClientSession] = {}
        self._closing: AsyncExitStack | None = None

    def __repr__(self) -> str:
        state = "open" if self._sessions else "closed" if self._closing else "not entered"
        return f"<HttpTransport {self._base} {state}>"

    async def __aenter__(self) -> Self:
        """Make it ready to send on the running loop; raise `ConfigurationError` if it is open already."""
        if self._sessions:
            raise ConfigurationError(f"{self!r} cannot be entered again before it was left")
        self._sessions = {lane: self._session(lane) for lane in Lane}
        self._closing = AsyncExitStack()
        for session in self._sessions.values():
            self._closing.push_async_callback(session.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; exchanges under way fail with ``TransportError``."""
        self._sessions = {}
        if self._closing is None:
            return
        # The stack closes every session even if this task is cancelled while it waits for the first.
        await self._closing.aclose()
        # Sockets that were closed just before are released on the loop's next turn.
        await asyncio.sleep(0)

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send once, and return the whole response, of any status. Redirects are not followed.

        If the response repeats the API key, the key is replaced.

        Raises:
            TransportError: No usable answer came; ``sent`` tells whether a submit may have left this machine.
        """
        url = self._api_url(request)
        session = self._open(request.lane)
        progress = Progress(sent=False) if request.lane is _SUBMIT else FREE
        try:
            response = await session.request(
                request.method,
                url,
                # From a buffer, aiohttp sends long bodies with files piece by piece, without blocking the loop.
                data=BytesIO(request.body) if request.body and len(request.body) > _PIECE else request.body,
                headers={**request.headers, **self._headers} if request.headers else self._headers,
                allow_redirects=False,
                proxy=self._proxy,
                trace_request_ctx=progress,
                timeout=self._timeout(request.lane, len(request.body)) if request.body else session.timeout,
            )
            try:
                body = await _read(response, self._cap)
            finally:
                if response.connection is not None:  # it was not read to its end
                    response.close()
        except CLIENT_ERRORS as error:
            if isinstance(error, aiohttp.ClientHttpProxyError) and error.status == PROXY_WANTS_LOGIN:
                return HttpResponse(error.status, {}, b"")  # an answer, as over plain http, and not the vendor's
            failure = translated(error, self._shown(request.method, str(url)), sent=progress.sent)
        else:
            answer = self._redacted(response.status, response.headers, body)
            if not answers(answer, request):
                drop_connection(response)
            return answer
        # Raised outside of `except`, so without a context: aiohttp's errors hold the request with its Authorization.
        raise failure

    async def sandbox_speed(self) -> float:
        """Ask a sandbox how many times as fast as the vendor's its time passes; return 1.0 for anything else.

        Only with a sandbox's own key: no gateway on the way to the vendor is asked, so none is believed.
        """
        if not self._key.startswith(SANDBOX_KEY):
            return 1.0
        speed = 1.0
        for _ in range(_SANDBOX_TRIES):  # its answer may be lost, or a gateway's page in its place
            with suppress(TransportError, TimeoutError, KeyError, ValueError):
                async with asyncio.timeout(_SANDBOX_ANSWERS):
                    answer = await self.send(HttpRequest("GET", SANDBOX_PATH))
                speed = float(answer.headers[SANDBOX_SPEED])
                break
        return speed if 0 < speed < math.inf else 1.0

    def _redacted(self, status: int, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """Return the response with the API key replaced."""
        if body.find(b"\\") >= 0:  # JSON may escape any character; `in` takes three times as long
            body = self._escaped.sub(_MASK, body)
        if body.find(b"\0") >= 0:
            for encoding in _WIDE:
                body = body.replace(self._key.encode(encoding), _MASK.decode().encode(encoding))
        body = body.replace(self._secret, _MASK)
        if self._key in "\n".join(headers.values()):
            headers = {name.lower(): value.replace(self._key, "[api key]") for name, value in headers.items()}
        return HttpResponse(status, headers, body)

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncGenerator[_Streamed]:
        """Fetch a file without the key; leaving the context closes the connection.

        The URL is sent as it is. At most 5 redirects are followed, to https only, or to http on this machine. Of the
        request's headers only ``Accept``, ``Range`` and ``If-Range`` are sent.

        Raises:
            TransportError: No answer came, or the URL or a redirect must not be followed; then it is not ``retryable``.
        """
        response, url = await self._follow(request)
        try:
            yield _Streamed(response, self._shown("GET", url))
        finally:
            response.close()

    async def _follow(self, request: HttpRequest) -> tuple[aiohttp.ClientResponse, str]:
        if request.lane is not Lane.FILE:
            raise unusable(f"{self._shown(request.method, request.target)}: only files are streamed")
        url = checked_file_url(request.target, plain_host=self._plain_host)
        headers = {name: value for name, value in request.headers.items() if name.lower() in _FILE_HEADERS}
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._get_file(url, headers)
            location = response.headers.get(LOCATION)
            if response.status not in _REDIRECTS or location is None:
                return response, url
            response.close()
            url = checked_file_url(location, url, self._plain_host)
        raise unusable(f"{self._shown('GET', request.target)}: more than {_MAX_REDIRECTS} redirects")

    async def _get_file(self, url: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        try:
            return await self._open(Lane.FILE).get(
                URL(url, encoded=True), headers=headers, allow_redirects=False, proxy=self._proxies.find(url)
            )
        except CLIENT_ERRORS as error:
            failure = translated(error, self._shown("GET", url), sent=True)
        raise failure

    def _open(self, lane: Lane) -> aiohttp.ClientSession:
        try:
            return self._sessions[lane]
        except KeyError:
            raise TransportError(f"{self!r} cannot send: it is not open", sent=False) from None

    def _session(self, lane: Lane) -> aiohttp.ClientSession:
        """Make a lane's session. The engine limits the connections, as aiohttp counts queueing as part of a timeout."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._ssl, limit=0, force_close=lane is Lane.SUBMIT),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "User-Agent": self._agent,
                **({} if lane is Lane.FILE else {"Accept": "application/json"}),
                "Accept-Encoding": "identity" if lane is Lane.FILE else "gzip, deflate",
            },
            timeout=self._timeout(lane),
            auto_decompress=False,
            request_class=Request,
            response_class=Response,
            read_bufsize=_FILE_BUFFER if lane is Lane.FILE else 2**16,
            trace_configs=[sending_trace()] if lane is Lane.SUBMIT else None,
            **_header_limits(),
        )

    def _timeout(self, lane: Lane, size: int = 0) -> aiohttp.ClientTimeout:
        """Return a lane's timeout, for a submit with files as much longer as a slow line needs to send them."""
        limits = self._timeouts
        if lane is Lane.FILE:
            return aiohttp.ClientTimeout(connect=limits.connect, sock_read=limits.file)
        if lane is Lane.SUBMIT:
            more = 0.0 if size < _PIECE else size / _SLOW_LINE
            return aiohttp.ClientTimeout(total=limits.submit + more, connect=limits.connect)
        # sock_connect starts a timer only when a connection is made; connect would for every poll on a kept-alive one.
        return aiohttp.ClientTimeout(total=limits.call, sock_connect=limits.connect)

    def _api_url(self, request: HttpRequest) -> URL:
        # A target without "/" could become part of the host's name, and the key would go to another host.
        if request.lane is _FILE or not request.target.startswith("/") or not is_plain(request.target):
            raise unusable(f"{self._shown(request.method, request.target)}: not an encoded path of the API's")
        path, _, query = request.target.partition("?")
        # Built of known parts: a whole URL would be parsed for every poll.
        return URL.build(
            scheme=self._scheme, authority=self._authority, path=self._prefix + path, query_string=query, encoded=True
        )

    def _shown(self, method: str, url: str) -> str:
        return f"{method} {bare(url)}".replace(self._key, "[api key]")


@cache
def _header_limits() -> Mapping[str, Any]:
    limits = {"max_line_size": _HEADER_LINE, "max_field_size": _HEADER_LINE, "max_headers": _HEADER_LINES}
    taken = signature(aiohttp.ClientSession).parameters  # aiohttp 3.13 does not count the lines
    return {name: limit for name, limit in limits.items() if name in taken}


@frozen(eq=False)
class _Streamed:
    """A response from a file's host, read as it comes."""

    _response: aiohttp.ClientResponse
    _shown: str

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes once, 1 MiB at most at a time; raise `TransportError` if they break off or stop coming."""
        while piece := await self._next():
            yield piece

    async def _next(self) -> bytes:
        try:
            return await self._response.content.readany()
        except CLIENT_ERRORS as error:
            failure = translated(error, self._shown, sent=True)
        raise failure


async def _read(response: aiohttp.ClientResponse, cap: int) -> bytes:
    encoding, content = ",".join(response.headers.getall(CONTENT_ENCODING, ())), response.content
    if not encoding and content.is_eof() and content.total_bytes <= cap:  # as of nearly every poll: it came at once
        return content.read_nowait()
    decoder = Decoder(encoding, cap=cap, status=response.status)
    pieces: list[bytes] = []
    while not content.at_eof():
        pieces += decoder.feed(await content.readany())
    decoder.finish()
    return b"".join(pieces)


@cache
def _default_user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to import, seldom needed

    try:
        return f"kling_async/{version('kling_async')}"
    except PackageNotFoundError:
        return "kling_async"
