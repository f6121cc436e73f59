"""The pages for readers: their code runs, their links lead somewhere, and the README stays short.

Python runs in an empty folder, with sessions on the sandbox in place of the vendor's; blocks with tests in them run
under pytest. Shell blocks (``sh``) run without a key, with a faster sandbox. What waits for Ctrl-C is shown as
``console``, and its options are checked.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

import kling_async
from kling_async.cli.app import app

if TYPE_CHECKING:
    from kling_async.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for folder in (".", "benchmarks", "examples", "kling_async")
    for path in ((ROOT / folder).glob("*.md") if folder == "." else (ROOT / folder).rglob("*.md"))
)
BASH = shutil.which("bash") or ""
SET_UP = re.compile(r"<!-- (tests|demo|install) -->\n.*?<!-- /\1 -->\n", re.DOTALL)  # .ci/run has the first two
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!\\)\]\(([^()\s]+)\)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(language: str) -> list[Any]:
    """Every block of a language in all pages, as parameters of a test."""
    return [
        pytest.param(match[2], id=f"{name_of(page)}:{n}")
        for page in PAGES
        for n, match in enumerate(FENCED.finditer(SET_UP.sub("", text_of(page))), 1)
        if match[1] == language
    ]


PYTHON = blocks("python")
TESTS = [block for block in PYTHON if "def test_" in block.values[0]]


@pytest.mark.kling_sandbox(speed=2000)
@pytest.mark.parametrize("block", [block for block in PYTHON if block not in TESTS])
def test_python_runs(block: str, kling_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def session(*_key: str, **settings: Any) -> kling_async.KlingSession:
        settings.pop("polling", None)
        if "limits" in settings:
            settings["limits"] = evolve(settings["limits"], requests_per_second=200)
        return kling_sandbox.session(**settings)

    monkeypatch.setattr(kling_async, "KlingSession", session)
    monkeypatch.setattr("kling_async.sync._Session", session)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})  # noqa: S102 - this project's own words


@pytest.mark.parametrize("block", TESTS)
def test_tests_pass(block: str, tmp_path: Path) -> None:
    (tmp_path / "test_block.py").write_text(block, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 - as above
    assert done.returncode == 0, done.stdout
    assert f"{block.count('def test_')} passed" in done.stdout


@pytest.mark.timeout(180)  # some commands, each an interpreter of its own
@pytest.mark.skipif(not BASH, reason="the shell blocks are for bash, which there is none of here")
@pytest.mark.parametrize("block", blocks("sh"))
def test_shell_block_runs_without_a_key(block: str, tmp_path: Path) -> None:
    quick = re.sub(r"(--sandbox|kling-async demo)\b", r"\1 --speed 600", block)
    script = f"set -euo pipefail\n{quick}"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    keyless = {name: value for name, value in os.environ.items() if not name.startswith("AIML")}
    done = subprocess.run(  # noqa: S603 - this project's own words
        [BASH, "-c", script], cwd=tmp_path, env=keyless | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", blocks("console"))
def test_commands_that_are_shown_have_these_options(block: str) -> None:
    commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    assert commands
    for command in commands:
        program, *arguments = shlex.split(command, comments=True)
        assert program == "kling-async"
        app.parse_args(arguments, exit_on_error=False, print_error=False)


def test_every_block_is_run_or_checked() -> None:
    languages = {match[1] for page in PAGES for match in FENCED.finditer(SET_UP.sub("", text_of(page)))}
    assert languages <= {"python", "sh", "console"}
    assert len(PYTHON) >= 12
    assert len(blocks("sh")) >= 3


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    prose = FENCED.sub("", text_of(page))
    titles = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [pytest.param(page, id=name_of(page)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    missing: list[str] = []
    for target in LINK.findall(FENCED.sub("", text_of(page))):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            missing.append(target)
    assert missing == []


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(text_of(ROOT / "README.md").splitlines()) <= 220


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve() for page in PAGES for target in LINK.findall(text_of(page))
    }
    assert [name_of(page) for page in PAGES if page not in linked | {ROOT / "README.md"}] == []


def test_every_example_is_in_the_index() -> None:
    index = text_of(ROOT / "examples" / "README.md")
    examples = sorted((ROOT / "examples").glob("*.py"))
    assert [path.name for path in examples if f"]({path.name})" not in index] == []


def test_every_name_in_the_errors_table_is_an_error() -> None:
    table = text_of(ROOT / "kling_async/engine/README.md").partition("## Errors")[2].partition("\n## ")[0]
    names = [name for name in re.findall(r"`([A-Z][A-Za-z]+)`", table) if name not in ("ValueError", "TimeoutError")]
    assert len(names) >= 15
    assert [name for name in names if not issubclass(getattr(kling_async, name), kling_async.KlingError)] == []
