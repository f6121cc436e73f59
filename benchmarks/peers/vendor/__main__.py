"""The vendor's process: prints its port, serves until its input ends, then prints what was bought."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from benchmarks.peers.vendor.http import Connection, HeldRequests
from benchmarks.peers.vendor.ledger import Ledger, VendorSettings
from benchmarks.peers.vendor.protocols import Service
from benchmarks.peers.virtual_time import SharedClock


async def _serve(settings: VendorSettings, shared: SharedClock) -> None:
    loop = asyncio.get_running_loop()
    ledger, held = Ledger(settings, shared.now), HeldRequests(shared)
    service: list[Service] = []  # it knows its address, which is known once it serves
    server = await loop.create_server(
        lambda: Connection(service[0].reply, held.hold), "127.0.0.1", 0, backlog=2048, start_serving=False
    )
    port = server.sockets[0].getsockname()[1]
    service.append(Service(ledger, f"http://127.0.0.1:{port}", lambda: time.time() + shared.offset))
    await server.start_serving()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
    json.dump(ledger.as_data(), sys.stdout)


def main() -> None:
    """Serve by the settings given as JSON, at the clock in a file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one also ends it
    settings, clock = sys.argv[1:]
    asyncio.run(_serve(VendorSettings(**json.loads(settings)), SharedClock(Path(clock))))


if __name__ == "__main__":
    main()
