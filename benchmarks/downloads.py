"""How fast many files come in, beside curl, and how much memory that takes.

From a checkout, with the package installed; ``python -m benchmarks.downloads --quick`` is a smoke run. A server on
loopback, in a process of its own, hands out files as fast as the system can; a session and ``curl --parallel`` fetch
all of them in turn, each with its usual number at once: four, and fifty. Files go to memory where there is a file
system for that, so that a disk, which is the same for both, is not what is measured. What the session does beyond
curl counts: digests, parts that could be gone on with, flushing, and putting each file under its name at the end.

Those digests are half of what the session's processor time has over curl's, and are made beside the reading: without
a second idle core the share of curl's throughput is lower.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.figure import Figure
from benchmarks.file_server import serving_files
from benchmarks.fresh import fresh
from benchmarks.table import as_table, summary
from kling_async import KlingSession, Video

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["FULL", "QUICK", "Load", "measure"]

_MEGABYTE = 1_000_000
_STATUS = Path("/proc/self/status")
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a random name is made in it
_SHARE_OF_CURL = 0.8
_GROWTH = 1.1


@frozen(kw_only=True)
class Load:
    """The size of a run of the benchmark.

    Attributes:
        files: How many files, each round.
        megabytes: The size of each.
        rounds: Turns each side takes.
        memory_megabytes: The sizes of file at which memory is looked at.
        memory_files: How many files are fetched for that.
    """

    files: int
    megabytes: int
    rounds: int
    memory_megabytes: tuple[int, ...]
    memory_files: int


FULL = Load(files=200, megabytes=15, rounds=7, memory_megabytes=(1, 15, 60), memory_files=40)
QUICK = Load(files=6, megabytes=2, rounds=2, memory_megabytes=(1, 4), memory_files=4)


def measure(load: Load = FULL) -> list[Figure]:
    """Return the share of curl's throughput, and how memory grows with the size of files, where the system tells."""
    figures = [_throughput(load)]
    if _STATUS.exists():
        figures.append(_memory(load))
    return figures


def _throughput(load: Load) -> Figure:
    with serving_files(load.megabytes * _MEGABYTE) as base, _folder(load) as folder:
        sides = {"session": lambda: asyncio.run(_by_session(base, load.files, folder))}
        if _has_curl():
            sides["curl"] = lambda: _by_curl(base, load.files, folder)
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(load.rounds):
            for side, fetch in sides.items():
                seconds[side].append(_timed(fetch, load, folder))
    return _compared(load, seconds)


def _compared(load: Load, seconds: dict[str, list[float]]) -> Figure:
    size = load.files * load.megabytes
    raw = {f"{side}_mb_per_s": size / median(times) for side, times in seconds.items()}
    raw |= {"files": load.files, "file_mb": load.megabytes, "rounds": load.rounds}
    what = f"{load.files} files of {load.megabytes} MB"
    if "curl" not in seconds:
        return Figure(f"Download throughput, {what}", raw["session_mb_per_s"], None, "MB/s", raw)
    ratios = [curl / own for own, curl in zip(seconds["session"], seconds["curl"], strict=True)]
    raw |= {"lowest_ratio": min(ratios), "highest_ratio": max(ratios)}
    ratio = raw["session_mb_per_s"] / raw["curl_mb_per_s"]
    return Figure(f"Download throughput ÷ curl's, {what}", ratio, _SHARE_OF_CURL, raw=raw, at_least=True)


def _timed(fetch: Callable[[], object], load: Load, folder: Path) -> float:
    """Return the seconds that fetching took; the files are checked and removed."""
    begun = perf_counter()
    fetch()
    took = perf_counter() - begun
    files = [file for file in folder.iterdir() if file.stat().st_size == load.megabytes * _MEGABYTE]
    if len(files) != load.files:
        raise AssertionError(f"{len(files)} whole files came instead of {load.files}")
    for file in files:
        file.unlink()
    return took


async def _by_session(base: str, files: int, folder: Path) -> None:
    async with KlingSession("a-key", base_url=base) as kling:
        await asyncio.gather(*(kling.download(Video(f"{base}/{n}.mp4"), folder / f"{n}.mp4") for n in range(files)))


def _by_curl(base: str, files: int, folder: Path) -> None:
    command = ["curl", "--parallel", "--no-progress-meter", "--fail", "--output", str(folder / "#1.mp4")]
    subprocess.run([*command, f"{base}/[0-{files - 1}].mp4"], check=True)  # noqa: S603 - a command of our own


def _has_curl() -> bool:
    """Return whether there is a curl that fetches in parallel."""
    if (curl := shutil.which("curl")) is None:
        return False
    done = subprocess.run([curl, "--help", "all"], capture_output=True, text=True, check=False)  # noqa: S603 - as above
    return "--parallel" in done.stdout


def _memory(load: Load) -> Figure:
    """Return how much larger a process's peak is for the largest files than for the smallest."""
    peaks = {size: fresh(_peak, load.memory_files, size) for size in load.memory_megabytes}
    raw = {f"files_of_{size}_mb_peak_mb": peak / _MEGABYTE for size, peak in peaks.items()}
    smallest, largest = min(peaks), max(peaks)
    name = f"Peak memory, files of {largest} MB ÷ of {smallest} MB"
    return Figure(name, peaks[largest] / peaks[smallest], _GROWTH, raw=raw | {"files": load.memory_files})


def _peak(files: int, megabytes: int) -> int:
    """Return the most memory this process has had resident once it has fetched these files, in bytes."""
    load = Load(files=files, megabytes=megabytes, rounds=1, memory_megabytes=(), memory_files=0)
    with serving_files(megabytes * _MEGABYTE) as base, _folder(load) as folder:
        _timed(lambda: asyncio.run(_by_session(base, files, folder)), load, folder)
    (line,) = (line for line in _STATUS.read_text("ascii").splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@contextmanager
def _folder(load: Load) -> Generator[Path]:
    """Yield a folder of its own, in memory if there is room; it is gone afterwards."""
    needed = 2 * load.files * load.megabytes * _MEGABYTE
    roomy = _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free > needed
    with tempfile.TemporaryDirectory(prefix="kling-downloads-", dir=_IN_MEMORY if roomy else None) as folder:
        yield Path(folder)


if __name__ == "__main__":
    measured = measure(QUICK if "--quick" in sys.argv[1:] else FULL)
    sys.stdout.write(f"{as_table(measured)}\n{summary(measured)}\n")
