r"""A web service that loses no video it has promised: aiohttp.web, and a journal.

It answers 202 only once the journal cannot lose the job any more. Kill it at any moment and start it again: what was
open goes on, and a client that follows a job has only to connect again, as browsers do by themselves. Run it with an
AI/ML API key in AIMLAPI_API_KEY::

    python examples/web_service.py jobs.db 8080
    curl -d '{"prompt": "a fox in the snow"}' localhost:8080/videos     # 202 {"token": "4f1c…", …}
    curl localhost:8080/videos/4f1c…                                    # how far it is; at the end, the video's address
    curl -N localhost:8080/videos/4f1c…/events                          # the same at every step, as server-sent events
"""

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from kling_async import InvalidRequest, Job, KlingSession, TextToVideo

KLING = web.AppKey("KLING", KlingSession)
routes = web.RouteTableDef()


def described(job: Job) -> dict[str, Any]:
    """Return a job as its client sees it. ``token`` is the job's key, which nobody guesses.

    `Job.token` is something else: it holds the prompt, and is for other processes of yours.
    """
    told: dict[str, Any] = {"token": job.key, "state": job.state.value, "status": job.last_status, "polls": job.polls}
    if job.done():
        error = job.exception()
        told |= {"url": job.result().url} if error is None else {"error": str(error)}
    return told


async def steps(job: Job) -> AsyncIterator[str]:
    """Server-sent events: how far a job is now, and at every step until it has settled."""
    events = job.events()  # before the first look, so that nothing falls in between
    yield sse(job)
    async for _ in events:
        yield sse(job)
        if job.done():
            return


def sse(job: Job) -> str:
    """One event; browsers close their end on ``settled``, and come back after any other end."""
    return f"event: {'settled' if job.done() else 'step'}\ndata: {json.dumps(described(job))}\n\n"


def asked_for(request: web.Request) -> Job:
    """Return the job a request is about: at work, or finished in this or an earlier life of the service."""
    job = request.app[KLING].find(request.match_info["token"])
    if job is None:
        raise web.HTTPNotFound(text="there is no such job")
    return job


@routes.post("/videos")
async def submit(request: web.Request) -> web.Response:
    """Take a prompt; the answer is a promise, so it comes after the job is on disk."""
    try:
        job = request.app[KLING].submit(TextToVideo((await request.json())["prompt"]))
    except (InvalidRequest, ValueError, KeyError, TypeError) as error:
        raise web.HTTPBadRequest(text=f"{error}") from error
    await job.recorded()
    return web.json_response(described(job), status=202, headers={"Location": f"/videos/{job.key}"})


@routes.get("/videos/{token:[0-9a-f]{24}}")
async def show(request: web.Request) -> web.Response:
    """Tell how far a job is."""
    return web.json_response(described(asked_for(request)))


@routes.get("/videos/{token:[0-9a-f]{24}}/events")
async def follow(request: web.Request) -> web.StreamResponse:
    """Tell how far a job is as it goes on."""
    job = asked_for(request)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    async for step in steps(job):
        await response.write(step.encode())
    return response


def application(session: KlingSession) -> web.Application:
    """Return the service, on a session that has a journal."""

    async def lifetime(app: web.Application) -> AsyncIterator[None]:
        async with session as app[KLING]:
            yield

    async def end_streams(_app: web.Application) -> None:
        await session.aclose()  # which ends every subscription, so that nobody holds up the shutdown

    app = web.Application()
    app.add_routes(routes)
    app.cleanup_ctx.append(lifetime)
    app.on_shutdown.append(end_streams)
    return app


def main(session: KlingSession, port: int) -> None:
    """Serve until told to stop."""
    web.run_app(application(session), host="127.0.0.1", port=port)


if __name__ == "__main__":
    main(KlingSession(journal=sys.argv[1]), int(sys.argv[2]))
