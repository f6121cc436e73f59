"""The vendor's process: says its port, serves until its input ends, then says what was bought."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from benchmarks.peers.vendor.http import Connection, WaitingRoom
from benchmarks.peers.vendor.ledger import Ledger, Terms
from benchmarks.peers.vendor.protocols import Counter
from benchmarks.peers.virtual_time import SharedClock


async def _serve(terms: Terms, shared: SharedClock) -> None:
    loop = asyncio.get_running_loop()
    ledger, room = Ledger(terms, shared.now), WaitingRoom(shared)
    counter: list[Counter] = []  # it knows its address, which is known once it serves
    server = await loop.create_server(
        lambda: Connection(counter[0].reply, room.hold), "127.0.0.1", 0, backlog=2048, start_serving=False
    )
    port = server.sockets[0].getsockname()[1]
    counter.append(Counter(ledger, f"http://127.0.0.1:{port}", lambda: time.time() + shared.offset))
    await server.start_serving()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
    json.dump(ledger.as_data(), sys.stdout)


def main() -> None:
    """Serve by the terms given as JSON, at the clock in a file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this also ends it
    terms, clock = sys.argv[1:]
    asyncio.run(_serve(Terms(**json.loads(terms)), SharedClock(Path(clock))))


if __name__ == "__main__":
    main()
