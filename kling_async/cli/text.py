"""Numbers, tables and jobs for people, in plain ASCII, as any terminal and any pipe takes it; jobs for ``--json``."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from decimal import Decimal
from math import ceil
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from kling_async import JobState
from kling_async.api.labels import label_of
from kling_async.files.video_names import short_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kling_async import Generation, Job, KlingError, Record, Request, Video


def command(*words: object, windows: bool = os.name == "nt") -> str:
    """Format a command of this program for the shell."""
    typed = ["kling-async", *map(str, words)]
    return subprocess.list2cmdline(typed) if windows else shlex.join(typed)


def reason(error: BaseException) -> str:
    """Format an error's class and message in one line."""
    return f"{type(error).__name__}: {one_line(bare(str(error)))}"


def bare(message: str) -> str:
    """Strip from an error's message what its class or a job's state says already."""
    return message.removeprefix("generation failed: ")


_LONGEST = 300  # characters of a text that any terminal might show


def clock(seconds: float) -> str:
    """Format seconds as ``0:07``, ``12:34`` or ``1:02:03``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(seconds: float) -> str:
    """Format seconds with a unit, to about two digits: ``38 ms``, ``1.2 s``, ``35 s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - one or two figures


def count(number: int, noun: str) -> str:
    """Format a number with its noun: ``1 video``, ``1,200 videos``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


_CENTS = Decimal("0.1")  # below that, cents say too little


def dollars(usd: Decimal) -> str:
    """Format US dollars: to the cent, amounts below ten cents to two digits."""
    return f"${usd:,.2f}" if abs(usd) >= _CENTS or not usd else f"${usd:.2g}"


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    return sorted_values[max(0, ceil(share * len(sorted_values)) - 1)]


def one_line(text: str) -> str:
    """Make a text safe to print: one line, no control characters, at most 300 characters."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST])
    return " ".join(shown.split())


def short_model(model: str) -> str:
    """Strip the supplier's name from a model's id."""
    return model.partition("/")[2] or model


_UNIT = re.compile(r"(\s*)(kling-async [a-z].*|\S+)")
"""What is not broken: a word, or a command, which is to be copied as it is."""


def wrapped(text: str, columns: int, indent: str = "  ") -> Iterator[str]:
    """Break a text between words into lines of at most so many columns, all but the first indented.

    A word or a command that is wider has a line of its own.
    """
    line = ""
    for gap, unit in _UNIT.findall(text):
        if line.strip() and cell_len(line + gap + unit) > columns:
            yield line
            line = indent + unit
        else:
            line += gap + unit
    yield line


_GAP = "  "
_INDENT = "    "
_LEAST = 24  # columns in which words can be read


def table(rows: Sequence[Sequence[str]], columns: int | None = None) -> Iterator[str]:
    """Yield rows of cells as aligned columns of plain text, or as several lines each where they are too wide.

    Args:
        rows: The rows, all of one length.
        columns: The width to keep to; None for as much as it takes. Cells stay whole, except that words of the last are
            wrapped where there is room for them.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    if columns is not None and any(" " in row[-1] for row in rows):
        widths[-1] = min(widths[-1], max(_LEAST, columns - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1)))
    breaks = _breaks(widths, columns)
    for row in rows:
        for begin, end in breaks:
            yield from _line(row[begin:end], widths[begin:end], _INDENT if begin else "")


def _breaks(widths: Sequence[int], columns: int | None) -> list[tuple[int, int]]:
    """Return which cells of a row are on one line."""
    starts, used = [0], widths[0]
    for place, width in enumerate(widths[1:], start=1):
        used += len(_GAP) + width
        if columns is not None and used > columns:
            starts.append(place)
            used = len(_INDENT) + width
    return list(zip(starts, [*starts[1:], len(widths)], strict=True))


def _line(cells: Sequence[str], widths: Sequence[int], indent: str) -> Iterator[str]:
    padded = [f"{cell}{' ' * (width - cell_len(cell))}" for cell, width in zip(cells[:-1], widths, strict=False)]
    head = indent + "".join(cell + _GAP for cell in padded)
    first, *others = wrapped(cells[-1], widths[-1], "") if cell_len(cells[-1]) > widths[-1] else [cells[-1]]
    if line := (head + first).rstrip():
        yield line
    yield from (" " * cell_len(head) + other for other in others)


_LONGEST_PROMPT = 60  # characters of a prompt in a message


def tag_text(tag: object) -> str:
    """Return the caller's own label in a job's tag, which may be any JSON, as a line of text; empty without one."""
    own = label_of(tag).tag
    if own is None:
        return ""
    return one_line(own if isinstance(own, str) else json.dumps(own, default=str, ensure_ascii=False))


def label_text(tag: object) -> str:
    """Return the label in a job's tag or else the name that was asked for its file, in a line; empty without both."""
    return tag_text(tag) or one_line(label_of(tag).output or "")


def label_for(job: Job | Record) -> str:
    """Return what a job is called in rows and messages: its label or its output, or else its key or id."""
    if known := label_text(job.tag):
        return known
    # A row's key says more than an id; any other key says less.
    return short_key(job.key) if short_key(job.key) != job.key else one_line(job.generation_id or job.key)


def prompt_of(request: Request | None) -> str | None:
    """Return a request's prompt; None for one that has none."""
    prompt: object = getattr(request, "prompt", None)
    return prompt if isinstance(prompt, str) else None


def described(label: str, request: Request | None) -> str:
    """Return a job's name in a message together with its prompt, cut to a length that can be read at a glance."""
    prompt = shorten(one_line(prompt_of(request) or ""), _LONGEST_PROMPT, placeholder="...")
    return f'{label}, "{prompt}"' if prompt else label


def job_json(job: Job, file: Path | None, error: KlingError | None) -> dict[str, Any]:
    """Describe a job's outcome: ``ok`` is true if there is a video, on disk where that was asked for."""
    state = job.state
    video = job.result() if state is JobState.COMPLETED and job.done() and job.exception() is None else None
    label = label_of(job.tag)
    return {
        "ok": error is None,
        "key": job.key,
        "tag": label.tag,
        "output": label.output,
        **request_json(job.request),
        "state": state.value,
        "generation_id": job.generation_id,
        "file": None if file is None else str(file),
        **_video_json(video),
        "error": None if error is None else error_json(error),
    }


def request_json(request: Request | None) -> dict[str, Any]:
    """Describe a request by its model and prompt."""
    return {"model": None if request is None else request.model, "prompt": prompt_of(request)}


def error_json(error: KlingError) -> dict[str, Any]:
    """Describe an error."""
    return {"type": type(error).__name__, "message": error.message}


def generation_json(generation: Generation) -> dict[str, Any]:
    """Describe a generation as the vendor reported it."""
    video = generation.video
    return {
        "generation_id": generation.id,
        "status": generation.status.value,
        "raw_status": generation.raw_status,
        "url": None if video is None else video.url,
        **_video_json(video),
        "failure": generation.failure,
    }


def _video_json(video: Video | None) -> dict[str, Any]:
    usage = None if video is None else video.usage
    return {
        "file_size": None if video is None else video.file_size,
        "usd": None if usage is None else usage.usd_spent,
        "credits": None if usage is None else usage.credits_used,
    }
