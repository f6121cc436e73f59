"""The page: one HTML document with everything in it but the media."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined

from kling_async.cli.figures import clock
from kling_async.cli.gallery.sheet import asked, price, short_model, told

if TYPE_CHECKING:
    from jinja2 import Template

    from kling_async.cli.gallery.sheet import Sheet

__all__ = ["render"]


def render(sheet: Sheet) -> str:
    """The page for a sheet. Every text in it stays text, and the browser is told to run nothing but the page's program.

    The document asks for no address but those of the sheet's files.
    """
    style, program = _part("gallery.css"), _part("gallery.js")
    return _template().render(
        sheet=sheet,
        style=style,
        program=program,
        policy=_policy(style, program),
        made=datetime.fromtimestamp(sheet.made_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters |= {"asked": asked, "clock": clock, "price": price, "short_model": short_model, "told": told}
    return environment.from_string(_part("page.html"))


@cache
def _part(name: str) -> str:
    return files("kling_async.cli.gallery").joinpath(name).read_text("utf-8")


def _policy(style: str, program: str) -> str:
    """The page's Content-Security-Policy: this style, this program, files beside the page, and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hashed(style)}",
            f"script-src {_hashed(program)}",
            "media-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
