"""The web service of fastapi_service.py in four processes, which work on one journal as one: any of them may be killed.

A job is submitted in whichever process gets the request, and can be asked about in all of them. One process leads, and
sends the requests of all; when it dies, uvicorn starts another, and one of the four leads within a second or two. Run
it, with fastapi and uvicorn installed and an AI/ML API key in AIMLAPI_API_KEY::

    python examples/service_with_workers.py jobs.db 8080
"""

import os
import sys

import uvicorn
from fastapi import FastAPI
from fastapi_service import application

from kling_async import KlingSession


def service() -> FastAPI:
    """Return the service of one process: its session opens as the process starts, and never before a fork."""
    return application(KlingSession(journal=os.environ["JOURNAL"], shared=True))


def main(journal: str, port: int, workers: int = 4, factory: str = "service_with_workers:service") -> None:
    """Serve until told to stop."""
    os.environ["JOURNAL"] = journal
    uvicorn.run(factory, factory=True, workers=workers, host="127.0.0.1", port=port, timeout_graceful_shutdown=5)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
