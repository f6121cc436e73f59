"""A process of its own that downloads one file, told where from and where to; it says how that ended, in JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from random import Random

from kling_async import DownloadError
from kling_async.files.download import Retries, download_file
from kling_async.transport.http import HttpTransport


async def main(url: str, path: str) -> dict[str, object]:
    async with HttpTransport("sk-0123456789abcdef", base_url="https://api.example.com") as transport:
        try:
            stored = await download_file(transport, url, Path(path), retries=Retries(Random(1), 5))
        except DownloadError as error:
            return {"error": str(error), "retryable": error.retryable}
        return {"size": stored.size, "digest": stored.digest}


sys.stdout.write(json.dumps(asyncio.run(main(*sys.argv[1:]))))
