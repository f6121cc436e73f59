"""What the command answers, called in this process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kling_async.cli import main

if TYPE_CHECKING:
    import pytest


@frozen
class Answer:
    """An exit code, and what was written where."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The result."""
        return self.out.splitlines()

    @property
    def json_lines(self) -> list[dict[str, Any]]:
        """The result, where it is JSON lines."""
        return [json.loads(line) for line in self.lines]


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> Answer:
    """Call the command."""
    code = main(arguments)
    out, err = capsys.readouterr()
    return Answer(code, out, err)
