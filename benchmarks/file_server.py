"""The least a host of files can do, in a process of its own, so that the client is slower: one file for any name."""

from __future__ import annotations

import socket
import tempfile
from contextlib import suppress
from threading import Thread
from typing import IO, TYPE_CHECKING

from benchmarks.server_process import serving_apart

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from multiprocessing.connection import Connection

__all__ = ["serving_files"]

_END = b"\r\n\r\n"
_HEAD = (
    'HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {}\r\nETag: "a-film"\r\nAccept-Ranges: bytes\r\n\r\n'
)


def serving_files(size: int) -> AbstractContextManager[str]:
    """Serve files of so many bytes until the context is left; gives the base URL."""
    return serving_apart(_main, size)


def _main(port: Connection, size: int) -> None:
    with tempfile.TemporaryFile() as film, socket.create_server(("127.0.0.1", 0), backlog=1000) as server:
        film.truncate(size)
        port.send(server.getsockname()[1])
        while True:
            connection, _ = server.accept()
            Thread(target=_answer, args=(connection, film, size), daemon=True).start()


def _answer(connection: socket.socket, film: IO[bytes], size: int) -> None:
    """Answer one request after another, until the client has gone."""
    head = _HEAD.format(size).encode()
    with connection, open(film.fileno(), "rb", closefd=False) as file, suppress(ConnectionError):
        begun = b""
        while piece := connection.recv(65536):
            begun += piece
            while _END in begun:
                _, _, begun = begun.partition(_END)
                connection.sendall(head)
                connection.sendfile(file, 0, size)
