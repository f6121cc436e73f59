"""Checks URLs before they are used, and strips them before they are shown."""

from __future__ import annotations

import string
from ipaddress import ip_address
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from kling_async.api.reprs import cut
from kling_async.errors import ConfigurationError, TransportError


def checked_base_url(base_url: str, *, allow_http: bool = False) -> str:
    """Return the base URL without a trailing slash; with ``allow_http`` it may be http for any host.

    Raises:
        ConfigurationError: It cannot be used.
    """
    base = base_url.strip()
    parts = _split(base)
    if parts is None or not is_plain(base) or "?" in base or "#" in base:
        # The address is not shown: it may hold a password.
        allowed = "https://, a host and perhaps a path: no user, query, fragment or spaces"
        raise ConfigurationError(f"base_url takes {allowed}")
    if not _is_safe(parts, parts.hostname if allow_http else None):
        shown = cut(f"{parts.scheme}://{parts.hostname}")
        allowed = (
            "https, or http for this machine alone (for any with allow_http=True, which shows the key to the network)"
        )
        raise ConfigurationError(f"base_url takes {allowed}, not {shown}")
    return base.rstrip("/")


def checked_file_url(url: str, base: str = "", plain_host: str | None = None) -> str:
    """Return a file's URL as it is sent: escapes as they came, and characters that no URL may have escaped.

    It is https, or http for this machine and for ``plain_host``.

    Raises:
        TransportError: It cannot be used.
    """
    try:
        whole = urljoin(base, quote(url.strip(), safe=string.punctuation, errors="surrogateescape"))
    except ValueError:  # as for a lone surrogate, which JSON may have
        whole = ""
    parts = _split(whole)
    if parts is None:
        raise unusable("GET: the file's URL has no host, or holds a user, or cannot be read")
    if not _is_safe(parts, plain_host):
        raise unusable(f"GET {parts.scheme}://{parts.hostname}: a file is fetched over https, or on this machine")
    return whole


def _split(url: str) -> SplitResult | None:
    """Return a URL's parts; None without a host, or with a user, whose password would be sent and shown."""
    try:
        parts = urlsplit(url)
        usable = parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return None
    return parts if usable else None


def _is_safe(parts: SplitResult, plain_host: str | None) -> bool:
    host = parts.hostname or ""
    return parts.scheme == "https" or (parts.scheme == "http" and (host == plain_host or is_loopback(host)))


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_plain(text: str) -> bool:
    """Return whether a text can be part of a request line as it is."""
    return text.isascii() and text.isprintable() and " " not in text


def bare(url: str) -> str:
    """Return a URL without its query, which may hold a signature."""
    return url.partition("?")[0]


def unusable(message: str) -> TransportError:
    """Return the error of a request that must not be sent, now or later; it is not retryable."""
    error = TransportError(message, sent=False)
    error.retryable = False
    return error
