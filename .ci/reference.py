"""Build the API reference from the docstrings: ``python .ci/reference.py [FOLDER]``, with the extra ``docs``.

One page for each public package, its names by subject. A class has what it inherits from parts that are not public, its
fields with types and descriptions, and a constructor only where callers use it; what attrs generates is left out.
"""

from __future__ import annotations

import argparse
import collections.abc
import datetime as dt
import importlib
import inspect
import re
import sys
import typing
import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
import pdoc
import pdoc.doc
from docstrings import take_fields, to_markdown
from jinja2 import pass_context
from pdoc import render
from pdoc.doc_types import safe_eval_type
from pdoc.render_helpers import linkify
from subjects import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2.runtime import Context
    from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
_DOT = '</span><span class="o">.</span><span class="n">'  # as pygments writes it
_DOTTED = re.compile(rf"kling_async(?:(?:\.|{re.escape(_DOT)})\w+)+")
_TYPING = re.compile(rf"\btyping(?:\.|{re.escape(_DOT)})(?=[A-Z])")
_TAG = re.compile(r"<[^>]+>")


class Package(pdoc.doc.Module):
    """A public package, with its names by subject."""

    @cached_property
    def objects(self) -> dict[str, Any]:
        """What the names stand for."""
        return {name: getattr(self.obj, name) for subject in PACKAGES[self.modulename] for name in subject.names}

    @cached_property
    def _member_objects(self) -> dict[str, Any]:
        return self.objects


def sections(module: pdoc.doc.Module) -> list[tuple[str, list[pdoc.doc.Doc[Any]]]]:
    """Return each subject's title with its members, for the template."""
    subjects = PACKAGES.get(module.modulename, ())  # pdoc also renders a module without a name, for its search
    return [(subject.title, [module.members[name] for name in subject.names]) for subject in subjects]


class Reference:
    """The pages of all public packages."""

    def __init__(self) -> None:
        self.packages = {name: Package(importlib.import_module(name)) for name in PACKAGES}
        self._objects = {name: obj for package in self.packages.values() for name, obj in package.objects.items()}
        self._public = {
            f"{obj.__module__}.{obj.__qualname__}": f"{package.modulename}.{name}"
            for package in self.packages.values()
            for name, obj in package.objects.items()
            if hasattr(obj, "__qualname__")
        }
        for package in self.packages.values():
            package.docstring = to_markdown(package.docstring)
            for subject in PACKAGES[package.modulename]:
                for name in subject.names:
                    self._describe(package.members[name], made=subject.made)

    def write(self, folder: Path) -> None:
        """Write the pages, an index and what the search needs."""
        render.configure(
            docformat="google", show_source=False, include_undocumented=True, template_directory=_TEMPLATES
        )
        render.env.filters["linkify"] = self._linkify
        render.env.globals["sections"] = sections
        folder.mkdir(parents=True, exist_ok=True)
        for name, package in self.packages.items():
            path = folder.joinpath(*name.split(".")).with_suffix(".html")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(render.html_module(package, self.packages), encoding="utf-8")
        (folder / "index.html").write_text(render.html_index(self.packages), encoding="utf-8")
        (folder / "search.js").write_text(render.search_index(self.packages), encoding="utf-8")

    def _describe(self, doc: pdoc.doc.Doc[Any], *, made: bool) -> None:
        doc.docstring = to_markdown(doc.docstring)
        if isinstance(doc, pdoc.doc.Class):
            self._describe_class(doc, made=made)

    def _describe_class(self, doc: pdoc.doc.Class, *, made: bool) -> None:
        doc.docstring, fields = take_fields(doc.docstring)
        doc.bases = [self._base(*base) for base in doc.bases if self._is_public(*base[:2])]
        doc.decorators = []
        doc.own_members = [member for member in doc.members.values() if self._is_shown(doc, member, fields, made=made)]
        if unknown := fields.keys() - {member.name for member in doc.own_members}:
            raise LookupError(f"{doc.fullname} has no {', '.join(sorted(unknown))}, which its docstring describes")
        doc.members = {member.name: member for member in doc.own_members}
        for member in doc.own_members:
            if isinstance(member, pdoc.doc.Function) and not _is_async(member.wrapped):
                member.funcdef = "def"  # what is wrapped may be a coroutine
            if member.name == "__init__" and isinstance(member, pdoc.doc.Function):
                member.docstring = "@public"  # the class's docstring says it all
                member.signature_without_self = _constructor(doc.obj, self._objects)
            elif member.name in fields:
                member.docstring = fields[member.name]
            else:
                member.docstring = to_markdown(member.docstring)

    def _is_public(self, module: str, name: str) -> bool:
        return f"{module}.{name}" in self._public or not module.startswith("kling_async")

    def _base(self, module: str, name: str, text: str) -> tuple[str, str, str]:
        public = self._public.get(f"{module}.{name}")
        if public is None:
            return module, name, text
        package, _, name = public.rpartition(".")
        return package, name, name

    def _is_shown(self, cls: pdoc.doc.Class, member: pdoc.doc.Doc[Any], fields: dict[str, str], *, made: bool) -> bool:
        """Return whether a class's member is shown with it: its own, and those of bases that are not public."""
        if member.name == "__init__":
            return made
        origin = f"{member.taken_from[0]}.{member.taken_from[1].rpartition('.')[0]}"
        is_own = origin == f"{cls.taken_from[0]}.{cls.taken_from[1]}" or (
            origin.startswith("kling_async") and origin not in self._public
        )
        is_field = attrs.has(cls.obj) and member.name in attrs.fields_dict(cls.obj)
        is_member = member.name in getattr(cls.obj, "__members__", ())  # of an enumeration
        described = bool(member.docstring) or member.name in fields or is_field or is_member
        return is_own and described and not member.name.startswith("_")

    def _linkify_names(self, code: str) -> str:
        """Replace the places of names by those under which callers import them; others keep the name alone."""

        def public(match: re.Match[str]) -> str:
            dotted = _TAG.sub("", match[0])
            name = self._public.get(dotted, dotted.rpartition(".")[2])
            return name.replace(".", _DOT) if name[0] != name[0].lower() or "." in name else match[0]

        return _TYPING.sub("", _DOTTED.sub(public, code))

    @property
    def _linkify(self) -> Any:  # noqa: ANN401 - a filter of jinja2
        @pass_context
        def filtered(context: Context, code: str, namespace: str = "", shorten: bool = True) -> Markup:  # noqa: FBT001, FBT002 - as pdoc's
            return linkify(context, self._linkify_names(code), namespace, shorten)

        return filtered


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _constructor(cls: type, public: Mapping[str, object]) -> inspect.Signature:
    """Return how an object is made, its types resolved, with the defaults that attrs' factories make.

    A parameter that attrs converts has the type that its converter takes, written in another module's names.
    """
    names = {**vars(typing), **vars(collections.abc), **vars(dt), **public}
    for part in (inspect.unwrap(vars(cls).get("__init__", cls)), *reversed(cls.__mro__)):
        names |= vars(sys.modules[part.__module__])
    fields = {field.alias: field for field in attrs.fields(cls)} if attrs.has(cls) else {}
    signature = inspect.signature(cls)
    parameters = [
        parameter.replace(
            annotation=safe_eval_type(parameter.annotation, names, None, None, f"{cls.__name__}({parameter.name})"),
            default=_default(parameter, fields),
        )
        for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)


@attrs.frozen
class _Shown:
    """A default as the page has it."""

    text: str

    def __repr__(self) -> str:
        return self.text


def _default(parameter: inspect.Parameter, fields: Mapping[str, Any]) -> object:
    if parameter.default is attrs.NOTHING:
        made = fields[parameter.name].default
        return _Shown("..." if made.takes_self else f"{made.factory.__name__}()")
    if inspect.isbuiltin(parameter.default):
        return _Shown(f"{parameter.default.__module__}.{parameter.default.__name__}")
    return parameter.default


def main() -> None:
    """Build the reference into the folder that is named, by default ``site``."""
    parser = argparse.ArgumentParser(prog="python .ci/reference.py", description="Build the API reference.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("site"))
    folder = cast("Path", parser.parse_args().folder)
    warnings.simplefilter("error")  # a type or a name that cannot be resolved
    Reference().write(folder)
    sys.stdout.write(f"{folder / 'index.html'}\n")


if __name__ == "__main__":
    main()
