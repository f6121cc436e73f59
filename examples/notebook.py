# %% [markdown]
# A notebook: cells with top-level `await`, and a session that stays open from cell to cell.
#
# Open this file as a notebook (Jupyter with jupytext, VS Code, PyCharm), or paste its cells into IPython, where jobs go
# on while a cell awaits, or into `python -m asyncio`. It needs an AI/ML API key in AIMLAPI_API_KEY.

# %%
import asyncio
from contextlib import AsyncExitStack

from kling_async import KlingSession, TextToVideo

notebook = AsyncExitStack()
kling = await notebook.enter_async_context(KlingSession())

# %% Submitting returns at once: go on to the next cell, the jobs are on their way.
jobs = [kling.submit(TextToVideo(f"a {animal} by a lake"), tag=animal) for animal in ("fox", "heron", "otter")]

# %% How far are they? Run this as often as you like.
{job.tag: (job.state.value, job.expected_completion) for job in jobs}

# %% Wait for one of them.
video = await jobs[0]
video.url

# %% Fetch them all.
await asyncio.gather(*(kling.download(job, into="videos") for job in jobs))

# %% The last cell.
await notebook.aclose()
