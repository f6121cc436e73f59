"""What takes long to make, and is made once for all of a run's workers."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

Made = TypeVar("Made")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[], Made]) -> Made:
    """Make something of this name, or take what another worker has made of it: that worker is waited for."""
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    folder = factory.getbasetemp() if alone else factory.getbasetemp().parent
    file = folder / f"{name}.pickle"
    with FileLock(folder / f"{name}.lock"):
        if not file.exists():
            file.write_bytes(pickle.dumps(make()))
        made: Made = pickle.loads(file.read_bytes())  # noqa: S301 - our own
    return made
