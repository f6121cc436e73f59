"""A body's Content-Encoding: what is undone, what is left as it is, and that no bomb goes off."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from kling_async.errors import MalformedResponse
from kling_async.transport.decoding import Decoder

FILM = random.Random(1).randbytes(50_000) + b"moov" * 100_000
LOTS = 10**9


def _raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def decode(encoding: str, body: bytes, *, step: int = LOTS, cap: int = LOTS) -> bytes:
    decoder = Decoder(encoding, cap=cap)
    pieces = [b"".join(decoder.feed(body[start : start + step])) for start in range(0, len(body), step)]
    decoder.finish()
    return b"".join(pieces)


MEMBERS = gzip.compress(FILM[:100]) + gzip.compress(b"") + gzip.compress(FILM[100:])
BODIES = {
    "gzip": ("gzip", gzip.compress(FILM)),
    "upper case": ("X-GZIP", gzip.compress(FILM)),
    "members": ("gzip", MEMBERS),
    "padded": ("gzip", gzip.compress(FILM) + bytes(1000)),
    "padded by a byte": ("gzip", gzip.compress(FILM) + b"\x1f"),
    "zlib": ("deflate", zlib.compress(FILM)),
    "raw": (" Deflate ", _raw(FILM)),
    "stacked": ("deflate, gzip", gzip.compress(zlib.compress(FILM))),
    "said twice": ("gzip, gzip", gzip.compress(FILM)),
    "unpacked by a proxy": ("gzip", FILM),
    "none": ("", FILM),
    **{name: (name, FILM) for name in ("identity", "IDENTITY", "none", "binary", "utf-8", "aws-chunked", " ", ",")},
}


@pytest.mark.parametrize("step", [1000, LOTS])
@pytest.mark.parametrize("what", BODIES)
def test_a_body_is_what_was_packed_however_it_is_cut(what: str, step: int) -> None:
    encoding, body = BODIES[what]
    assert decode(encoding, body, step=step) == FILM


@pytest.mark.parametrize("what", ["members", "raw", "zlib", "stacked"])
def test_a_body_may_come_byte_by_byte(what: str) -> None:
    encoding, body = BODIES[what]
    assert decode(encoding, body, step=1) == FILM


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "gzip, deflate"])
def test_an_empty_body_is_empty(encoding: str) -> None:
    assert decode(encoding, b"") == b""


@pytest.mark.parametrize("cut", [1, 5, 100, -9, -4, -1])
@pytest.mark.parametrize("what", ["gzip", "zlib", "stacked"])
def test_what_is_cut_short_is_broken(what: str, cut: int) -> None:
    encoding, body = BODIES[what]
    with pytest.raises(MalformedResponse, match="compression is broken"):
        decode(encoding, body[:cut])


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(b"hello")[:-8] + bytes(8)), ("deflate", b"not deflate at all"), ("gzip", b"\x1f\x8bno")],
    ids=["wrong sum", "not deflate", "not gzip"],
)
def test_what_is_garbled_is_broken(encoding: str, body: bytes) -> None:
    with pytest.raises(MalformedResponse, match="compression is broken"):
        decode(encoding, body)


@pytest.mark.parametrize("encoding", ["br", "gzip, ZSTD", "compress", ", ".join(["gzip"] * 6)])
def test_what_nobody_asked_for_is_named(encoding: str) -> None:
    with pytest.raises(MalformedResponse, match="in a way nobody asked for"):
        Decoder(encoding, cap=LOTS)


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", gzip.compress(bytes(50_000_000))),
        ("deflate", _raw(bytes(50_000_000))),
        ("gzip, gzip", gzip.compress(gzip.compress(bytes(50_000_000)))),
        ("gzip", gzip.compress(b"") * 20_000),
        ("", bytes(100_001)),
    ],
    ids=["gzip", "deflate", "stacked", "empty members", "plain"],
)
def test_a_bomb_is_cut_at_the_cap_and_never_held_whole(encoding: str, bomb: bytes) -> None:
    decoder = Decoder(encoding, cap=100_000, status=200)
    held = 0
    with pytest.raises(MalformedResponse, match="200: the answer is longer than 100000 bytes") as caught:
        for piece in decoder.feed(bomb):
            held += len(piece)
    assert (held <= 100_000, caught.value.status) == (True, 200)


def test_a_body_of_exactly_the_cap_is_fine() -> None:
    assert len(decode("gzip", gzip.compress(bytes(100_000)), cap=100_000)) == 100_000
