"""The files of requests: checked when a job is submitted, read and encoded when its POST is built.

In between a job holds a path, or the caller's own bytes: never a copy, and nothing encoded.
"""

from __future__ import annotations

import os
import re
import secrets
from base64 import b64encode
from functools import partial
from itertools import zip_longest
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from anyio import to_thread
from attrs import evolve

from kling_async.api.catalogue.problems import Problem, refusal
from kling_async.api.file_types import FileType, picture_size, recognised
from kling_async.api.media import HEAD, Brief, LocalFile, media_type
from kling_async.api.protocol import submit_request
from kling_async.api.requests.serialize import with_files
from kling_async.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kling_async.api.media import File
    from kling_async.api.messages import HttpRequest
    from kling_async.api.requests import Request

_CUT = re.compile(rb'"data:(?:bytes:)?[0-9a-f]{64}"')
_PICTURE = 50 * 2**20  # bytes that are read at most to find an image's size; no field takes a larger one
_NOT_EMPTY = "a file that is not empty"
_PIECE = 3 * 2**18  # bytes encoded at once: while one piece is, no other thread runs; a multiple of 3


def with_absolute_paths(request: Request) -> Request:
    """Return the request with absolute paths, as the working directory may change while it is queued."""

    def anchor(file: File, _: str) -> File:
        return file if isinstance(file, bytes) or Path(file).is_absolute() else Path(file).absolute()

    anchored: Request = with_files(request, anchor)
    return anchored


def with_contents(request: Request) -> Request:
    """Return the request with its files' contents, read here, for their paths; refuse one that cannot be read."""

    def content_of(file: File, name: str) -> File:
        return file if isinstance(file, bytes) else _content(os.fspath(file), _size(os.fspath(file), name), name)

    loaded: Request = with_files(request, content_of)
    return loaded


def check_files(request: Request) -> None:
    """Check that the request's files exist and are what their fields take, by the beginning of each.

    It takes some tenths of a millisecond a file, of any size.

    Raises:
        InvalidRequest: A file is missing, is no file, is empty, or is not what its field takes; the message names all.
    """
    bad: list[Problem] = []

    def look(file: File, name: str) -> File:
        try:
            return _inspected(file, name)
        except InvalidRequest as error:
            bad.append(Problem(name, error.value, error.allowed))
            return file

    seen: Request = with_files(request, look)
    known = {problem.field for problem in bad}
    judged = [] if seen is request else seen.problems()
    problems = bad + [problem for problem in judged if problem.field not in known]
    if problems:
        raise refusal(problems)


async def build_submit(request: Request, endpoint: str, client_request_id: str) -> HttpRequest:
    """Build the POST that buys a generation, with its files in it; they are read and encoded in another thread.

    Raises:
        InvalidRequest: A file is missing by now, or its content is not what its field takes.
    """
    if with_files(request, lambda _file, _name: None) is request:  # it has no files
        return _check_complete(submit_request(endpoint, request.body(), client_request_id))
    build = partial(_load_and_build, request, endpoint, client_request_id)
    return await to_thread.run_sync(build, abandon_on_cancel=True)  # reading from a network drive may never end


def _check_complete(message: HttpRequest) -> HttpRequest:
    """Return a POST; refuse one whose request came with a token, as tokens do not carry files."""
    if message.body and _CUT.search(message.body):
        raise refusal([Problem("request", Brief("one from a token"), "the request itself: tokens do not carry files")])
    return message


def _load_and_build(request: Request, endpoint: str, client_request_id: str) -> HttpRequest:
    check_files(request)  # again, as they may have changed since; a file that is too large is not read
    loaded: Request = with_files(request, _read)
    loaded.check()
    return _encoded(loaded, endpoint, client_request_id)


def _encoded(loaded: Request, endpoint: str, client_request_id: str) -> HttpRequest:
    """Build the POST, with files inserted piece by piece after the rest is JSON, so that memory holds one copy of them.

    A random mark holds the place of each.
    """
    mark = secrets.token_hex(16)
    files: list[File] = []

    def set_aside(file: File, _: str) -> str:
        files.append(file)
        return mark

    message = submit_request(endpoint, with_files(loaded.body(), set_aside), client_request_id)
    parts = (message.body or b"").split(mark.encode())
    joined = (piece for part, file in zip_longest(parts, files) for piece in (part, *_data_uri(file)))
    return evolve(_check_complete(message), body=b"".join(joined))


def _data_uri(file: File | None) -> Iterator[bytes]:
    """Yield a file as a data URI, in pieces; nothing for None."""
    content, path = (file.content, file.path) if isinstance(file, LocalFile) else (file, "")
    if not isinstance(content, bytes):
        return
    yield f"data:{media_type(content, path)};base64,".encode()
    for start in range(0, len(content), _PIECE):
        yield b64encode(content[start : start + _PIECE])


def _inspected(file: File, name: str) -> File:
    """Return a file with its size and its beginning; refuse one that is empty or cannot be read."""
    size = len(file) if isinstance(file, bytes) else _size(os.fspath(file), name)
    if not size:
        raise refusal([Problem(name, file if isinstance(file, bytes) else LocalFile(os.fspath(file), 0), _NOT_EMPTY)])
    return (
        file if isinstance(file, bytes) else LocalFile(os.fspath(file), size, _beginning(os.fspath(file), size, name))
    )


def _beginning(path: str, size: int, name: str) -> bytes:
    """Read enough of a file to recognise its format, and of an image its size in pixels."""
    head = _content(path, HEAD, name)
    known = recognised(head)
    is_picture = known is not None and known.file is FileType.IMAGE
    is_cut = len(head) < size <= _PICTURE and is_picture and picture_size(head) is None
    return _content(path, size, name) if is_cut else head


def _read(file: File, name: str) -> File:
    """Return a file with its content."""
    if isinstance(file, bytes):
        return file
    path = os.fspath(file)
    size = _size(path, name)
    content = _content(path, size + 1, name)
    if len(content) != size:
        raise refusal([Problem(name, LocalFile(path, size), "a file that nobody is writing to")])
    return LocalFile(path, size, content)


def _content(path: str, most: int, name: str) -> bytes:
    try:
        with Path(path).open("rb") as opened:
            return opened.read(most)
    except OSError as error:
        raise _unreadable(path, name, error) from error


def _size(path: str, name: str) -> int:
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise _unreadable(path, name, error) from error
    if not S_ISREG(status.st_mode):
        raise refusal([Problem(name, Path(path), "a file, not a folder or a device")])
    return status.st_size


def _unreadable(path: str, name: str, error: OSError | ValueError) -> InvalidRequest:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return refusal([Problem(name, Path(path), f"a file that can be read ({reason})")])
