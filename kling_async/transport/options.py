"""What a caller or the environment sets for requests: proxies, CAs, headers; checked before anything is sent."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from attrs import frozen
from yarl import URL

from kling_async.api.arguments import bad_setting
from kling_async.api.media import is_path
from kling_async.api.reprs import show
from kling_async.errors import ConfigurationError
from kling_async.transport.urls import is_loopback, is_plain

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_PROXY = "a URL such as http://proxy.example.com:3128, with http:// or https:// and no path"
_SCHEMES = ("http", "https", "all")
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.1
_OWN_HEADER = re.compile(
    r"(proxy-)?authorization|accept(-encoding)?|connection|content-(encoding|length|type)|expect|host|te|trailer"
    r"|transfer-encoding|upgrade|user-agent|x-client-request-id",
    re.IGNORECASE,
)


@frozen
class Proxies:
    """The proxy for each URL: a given one for all, or else the environment's, which never serves this machine."""

    _given: URL | None
    _of_scheme: Mapping[str, URL]

    @classmethod
    def of(cls, given: object, *, trust_env: bool) -> Self:
        """Take a given proxy, or read the environment's (``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``).

        Raises:
            ConfigurationError: One cannot be used.
        """
        if given is not None:
            return cls(_checked("proxy", given), {})
        named = getproxies() if trust_env else {}
        return cls(None, {name: _checked(f"{name.upper()}_PROXY", named[name]) for name in _SCHEMES if name in named})

    def find(self, url: str) -> URL | None:
        """Return the proxy for a URL; None to connect directly, as to the hosts of ``NO_PROXY``."""
        if self._given is not None or not self._of_scheme:
            return self._given
        parts = urlsplit(url)
        if is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc):
            return None
        return self._of_scheme.get(parts.scheme, self._of_scheme.get("all"))


def _checked(what: str, value: object) -> URL:
    try:
        if isinstance(value, str) and is_plain(value) and _is_origin(urlsplit(value)):
            return URL(value)
    except ValueError:
        pass
    shown = value.rpartition("@")[2] if isinstance(value, str) else value  # without a password
    raise bad_setting(what, shown, _PROXY)


def _is_origin(parts: SplitResult) -> bool:
    has_more = parts.path not in ("", "/") or parts.query or parts.fragment
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not has_more


def checked_ssl(given: object, *, trust_env: bool) -> ssl.SSLContext | Literal[True]:
    """Return what certificates are checked by: a given context or file of CAs, or else OpenSSL's own CAs (True).

    OpenSSL reads ``SSL_CERT_FILE`` by itself, but says nothing of a file that it cannot read.

    Raises:
        ConfigurationError: It cannot be used.
    """
    if isinstance(given, ssl.SSLContext):
        return given
    if given is None:
        named = os.environ.get("SSL_CERT_FILE") if trust_env else None
        return _context("SSL_CERT_FILE", named, with_usual=True) if named else True
    if not given or not (isinstance(given, str) or is_path(given)):
        raise bad_setting("ssl", given, "None, an ssl.SSLContext, or the path of a PEM file with the CAs to trust")
    return _context("ssl", given, with_usual=False)


def _context(what: str, path: str | os.PathLike[str], *, with_usual: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
        raise bad_setting(what, os.fspath(path), f"a PEM file of certificates ({error})") from None
    if with_usual:
        context.load_default_certs()
    return context


def checked_headers(headers: object) -> dict[str, str]:
    """Return additional headers; their values are never shown.

    Raises:
        ConfigurationError: They cannot be sent, or the library sets them itself.
    """
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise bad_setting("headers", headers, "None, or a mapping of names to texts")
    for name, value in cast("Mapping[object, object]", headers).items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise bad_setting("headers", name, "names of letters, digits and hyphens")
        if _OWN_HEADER.fullmatch(name):
            raise bad_setting("headers", name, "headers that are not set already; see api_key, user_agent and proxy")
        check_value(f"headers[{show(name)}]", value)
    return dict(cast("Mapping[str, str]", headers))


def check_value(what: str, value: object) -> None:
    """Refuse what cannot be a header's value, without showing it."""
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise ConfigurationError(f"{what} takes a text of ASCII characters, without line breaks or spaces around it")
