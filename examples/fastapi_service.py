r"""The web service of web_service.py in FastAPI: 202 once the journal has the job, and server-sent events.

Run it, with fastapi and uvicorn installed and an AI/ML API key in AIMLAPI_API_KEY::

    python examples/fastapi_service.py jobs.db 8080
    curl -H 'Content-Type: application/json' -d '{"prompt": "a fox in the snow"}' localhost:8080/videos
"""

import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from kling_async import InvalidRequest, Job, KlingSession, TextToVideo


class Prompt(BaseModel):
    """What a client sends."""

    prompt: str


class Told(BaseModel):
    """A job as its client sees it. ``token`` is the job's key, which nobody guesses; `Job.token` holds the prompt."""

    token: str
    state: str
    status: str | None
    polls: int
    url: str | None = None
    error: str | None = None

    @classmethod
    def of(cls, job: Job) -> "Told":
        """Return how far a job is."""
        told = cls(token=job.key, state=job.state.value, status=job.last_status, polls=job.polls)
        if job.done():
            error = job.exception()
            told = told.model_copy(update={"url": job.result().url} if error is None else {"error": str(error)})
        return told


# Dependencies are coroutines here: plain functions would run in other threads, and a session belongs to its loop's.
async def kling_of(request: Request) -> KlingSession:
    """Return the session that serves all requests."""
    kling: KlingSession = request.app.state.kling
    return kling


Kling = Annotated[KlingSession, Depends(kling_of)]


async def job_of(token: str, kling: Kling) -> Job:
    """Return the job of a token: at work, or finished in this or an earlier life of the service."""
    try:
        job = kling.find(token)
    except InvalidRequest as error:
        raise HTTPException(404, str(error)) from error
    if job is None:
        raise HTTPException(404, "there is no such job")
    return job


JobOfToken = Annotated[Job, Depends(job_of)]


def application(session: KlingSession) -> FastAPI:
    """Return the service, on a session that has a journal."""

    @asynccontextmanager
    async def lifetime(app: FastAPI) -> AsyncGenerator[None]:
        async with session as app.state.kling:
            yield

    app = FastAPI(title="Videos", lifespan=lifetime)

    @app.post("/videos", status_code=202)
    async def submit(prompt: Prompt, kling: Kling, response: Response) -> Told:
        """Take a prompt; the answer is a promise, so it comes after the job is on disk."""
        try:
            job = kling.submit(TextToVideo(prompt.prompt))
        except InvalidRequest as error:
            raise HTTPException(400, str(error)) from error
        await job.recorded()
        response.headers["Location"] = f"/videos/{job.key}"
        return Told.of(job)

    @app.get("/videos/{token}")  # noqa: FAST003 - its dependency takes the token
    async def show(job: JobOfToken) -> Told:
        """Tell how far a job is."""
        return Told.of(job)

    @app.get("/videos/{token}/events", response_class=EventSourceResponse)  # noqa: FAST003 - its dependency takes it
    async def follow(job: JobOfToken) -> AsyncIterator[ServerSentEvent]:
        """Tell how far a job is, now and at every step until it has settled."""
        events = job.events()  # before the first look, so that nothing falls in between
        yield step(job)
        async for _ in events:
            yield step(job)
            if job.done():
                return

    return app


def step(job: Job) -> ServerSentEvent:
    """One event; browsers close their end on ``settled``, and come back after any other end."""
    return ServerSentEvent(event="settled" if job.done() else "step", data=Told.of(job))


def main(session: KlingSession, port: int) -> None:
    """Serve until told to stop; clients that still follow a job are let go after a few seconds."""
    uvicorn.run(application(session), host="127.0.0.1", port=port, timeout_graceful_shutdown=5)


if __name__ == "__main__":
    main(KlingSession(journal=sys.argv[1]), int(sys.argv[2]))
