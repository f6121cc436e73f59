"""``kling-async demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from kling_async.cli.demo.run import Demo
from kling_async.cli.terminal import Terminal


def demo(
    *,
    output: Annotated[Path, Parameter(name=("--output", "-o"))] = Path("demo-videos"),
    jobs: PositiveInt = 24,
    speed: PositiveFloat = 20.0,
    seed: int = 1,
) -> int:
    """Make 24 videos at once, from a local stand-in for the vendor: no key, no bill, no network.

    It starts a sandbox on this machine, submits prompts for eight models, shows how far they are, downloads the videos
    and checks each, and ends with what it took. Exits with 0 only if every video arrived whole.

    Args:
        output: The folder for the videos; files of the same names in it are replaced.
        jobs: How many videos to make.
        speed: How many times as fast as the vendor's the sandbox's time passes.
        seed: Decides about ids and durations; the same seed gives the same again.
    """
    return Demo(output, jobs=jobs, speed=speed, seed=seed).run(Terminal())
