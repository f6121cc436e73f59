"""The API reference: built from the docstrings, complete, and without what attrs generates."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from html import unescape
from pathlib import Path
from subprocess import run
from sys import executable

import attrs
import pytest
from docstrings import take_fields, to_markdown
from subjects import PACKAGES

ROOT = Path(__file__).parents[1]


def page(site: Path, package: str) -> str:
    return site.joinpath(*package.split(".")).with_suffix(".html").read_text(encoding="utf-8")


def names_of(package: str) -> list[str]:
    return [name for subject in PACKAGES[package] for name in subject.names]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_subject(package: str) -> None:
    public = getattr(importlib.import_module(package), "__all__", names_of(package))
    assert Counter(names_of(package)) == Counter(public)


@pytest.mark.timeout(180)
def test_the_reference_is_built_whole_and_without_what_attrs_generates(tmp_path: Path) -> None:
    command = [executable, str(ROOT / ".ci" / "reference.py"), str(tmp_path)]
    done = run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 - this project's own
    assert done.returncode == 0, done.stderr
    check_names(tmp_path)
    check_links(tmp_path)
    check_content(tmp_path)


def check_names(site: Path) -> None:
    """Every public name is there, and what sessions inherit from parts that are not public."""
    for package in PACKAGES:
        anchors = set(re.findall(r'id="([\w.]+)"', page(site, package)))
        assert set(names_of(package)) - anchors == set()
    for name in ("submit", "resume", "as_completed", "download", "estimate", "subscribe"):
        assert f'id="KlingSession.{name}"' in page(site, "kling_async")
    assert 'id="Sandbox.session"' in page(site, "kling_async.sandbox")


def check_links(site: Path) -> None:
    for package in PACKAGES:
        text = page(site, package)
        anchors = set(re.findall(r'id="([^"]+)"', text))
        assert set(re.findall(r'href="#([^"]+)"', text)) - anchors == set()


def check_content(site: Path) -> None:
    """Fields have their types, constructors their defaults, and nothing is left of attrs and reStructuredText."""
    content = page(site, "kling_async").partition("<main")[2].partition("</main>")[0]
    text = unescape(re.sub(r"<[^>]+>", "", content))
    assert "max_in_flight: int" in text
    assert re.search(r"Limits\(\s*\*,\s*requests_per_second: float \| None = None,", text)
    for clutter in ("__attrs", "on_setattr", "NOTHING", "attrs generated", "Method generated", "@frozen", "::"):
        assert clutter not in text


@pytest.mark.parametrize("package", PACKAGES)
def test_every_list_of_attributes_has_the_fields_that_there_are(package: str) -> None:
    for name in names_of(package):
        cls = getattr(importlib.import_module(package), name)
        if isinstance(cls, type) and attrs.has(cls):
            described = take_fields(cls.__doc__ or "")[1]
            known = set(attrs.fields_dict(cls)) | {name for name in dir(cls) if not name.startswith("_")}
            assert set(described) - known == set(), name


def test_a_literal_block_and_a_table_become_markdown() -> None:
    given = "An example::\n\n    a = 1\n\nThe fields:\n\n==== ======\n``a`` first\n==== ======\n"
    assert to_markdown(given) == (
        "An example:\n\n```python\na = 1\n```\n\nThe fields:\n\n| | |\n|---|---|\n| ``a`` | first |"
    )


def test_the_attributes_of_a_class_are_taken_out_of_its_docstring() -> None:
    given = (
        "It limits.\n\nAttributes:\n    most: How many\n        at once.\n    rate: How fast.\n\n"
        "Raises:\n    ValueError: Bad.\n"
    )
    rest, fields = take_fields(given)
    assert fields == {"most": "How many\nat once.", "rate": "How fast."}
    assert rest.split() == ["It", "limits.", "Raises:", "ValueError:", "Bad."]
