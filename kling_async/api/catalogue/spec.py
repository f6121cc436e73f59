"""Specs of fields: each judges a value, says in words what it takes, and reads plain data."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import urlsplit

import attrs
from attrs import frozen

from kling_async.api.catalogue.problems import Problem, either, join, unknown_fields
from kling_async.api.file_types import FileType, Format, ending, picture_size, recognised
from kling_async.api.media import LocalFile, is_data_uri, is_file, is_path, path_from_uri, read_data_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kling_async.api.media import FilePath


_DIGITS = re.compile(r"-?[0-9]{1,9}")


class Spec:  # no ABC, whose isinstance() takes long, and each field of each record of a journal is looked at
    """The values that a field takes."""

    __slots__ = ()

    @property
    def allowed(self) -> str:
        """The values that are taken, in words that follow "allowed:"."""
        return self._words()

    def _words(self) -> str:
        raise NotImplementedError

    def _fits(self, value: object) -> bool:
        raise NotImplementedError

    def problems(self, value: object, path: str = "") -> list[Problem]:
        """Return the problems of a value, whose dotted name is ``path``, and of its parts. Never raises."""
        found = self._parts_problems(value, path)
        return found if self._fits(value) else [Problem(path, value, self.allowed), *found]

    def _parts_problems(self, value: object, path: str) -> list[Problem]:  # noqa: ARG002 - few specs look into values
        return []


@frozen(eq=False)
class Text(Spec):
    """Text: one of ``choices`` if there are any, at most ``longest`` characters, and blank only with ``blank``."""

    choices: tuple[str, ...] = ()
    longest: int | None = None
    blank: bool = True

    def _words(self) -> str:
        if self.choices:
            return either([repr(choice) for choice in self.choices])
        kind = "text" if self.blank else "text that is not blank"
        return kind if self.longest is None else f"{kind}, at most {self.longest} characters"

    def _fits(self, value: object) -> bool:
        if not isinstance(value, str) or (self.choices and value not in self.choices):
            return False
        return (self.blank or bool(value.strip())) and (self.longest is None or len(value) <= self.longest)


_MB = 1024 * 1024
_LARGEST = {
    FileType.IMAGE: 50 * _MB,  # the largest that any page allows ("Kling 3.0 Standard Turbo Image to Video")
    FileType.AUDIO: 5 * _MB,  # "Kling Avatar Professional"
    FileType.VIDEO: 200 * _MB,  # no page says; a body is built in memory, several times as large
}


@frozen(eq=False)
class Url(Spec):
    """A file by its place: an absolute http(s) URL, or the file itself as a data URI, by its path, or as its content.

    Files are told by how their content begins, and by the endings of their names as far as they have one.

    Attributes:
        file: The type of the file; None for any.
        formats: In which formats; None for all there are of ``file``.
        largest: The most bytes it may have; None for the usual: 50 MB for an image, 5 MB for audio, 200 MB for a video.
        shortest: The fewest pixels that each side of an image may have.
        steepest: The largest ratio of an image's longer side to its shorter; None for any.
        loose: Whether any text is taken that is not blank, as where the vendor publishes a text rather than a URL.
    """

    file: FileType | None = None
    formats: tuple[Format, ...] | None = attrs.field(default=None, kw_only=True)
    largest: int | None = attrs.field(default=None, kw_only=True)
    shortest: int = attrs.field(default=1, kw_only=True)
    steepest: float | None = attrs.field(default=None, kw_only=True)
    loose: bool = attrs.field(default=False, kw_only=True)

    def _words(self) -> str:
        text = "any text" if self.loose else "an http(s) URL, a data: URI"
        return f"{text}, or a file as a Path or bytes ({either([known.label for known in self._wanted])}{self._limits})"

    @property
    def _limits(self) -> str:
        pixels = f", at least {self.shortest} pixels a side" if self.shortest > 1 else ""
        shape = f", between 1:{self.steepest} and {self.steepest}:1" if self.steepest else ""
        return f", at most {self._most // _MB} MB{pixels}{shape}"

    def _fits(self, value: object) -> bool:
        if isinstance(value, str):
            return bool(value.strip()) if self.loose else self._fits_text(value)
        if isinstance(value, bytes):
            return self._fits_content(value)
        return is_path(value) and self._fits_path(value)

    def _fits_text(self, text: str) -> bool:
        if not is_data_uri(text):
            return _is_web_url(text)
        if len(text) > self._most * 4:  # each byte takes up to three characters, percent-encoded
            return False
        held = read_data_uri(text)
        return held is not None and self._fits_type(held.path) and self._fits_file(held)

    def _fits_type(self, about: str) -> bool:
        """Return whether a data URI says that it is what this takes, or leaves that open."""
        main, _, _ = about[len("data:") :].partition(";")[0].strip().lower().partition("/")
        return main in ("application", *(known.file.value for known in self._readable))

    def _fits_path(self, path: FilePath) -> bool:
        named = ending(path.__fspath__())
        if named and not any(named in known.endings for known in self._readable):
            return False
        if not isinstance(path, LocalFile):
            return True
        return self._fits_file(path)

    def _fits_file(self, file: LocalFile) -> bool:
        return 0 < file.size <= self._most and (file.content is None or self._fits_content(file.content))

    def _fits_content(self, content: bytes) -> bool:
        known = recognised(content)
        if known not in self._readable or len(content) > self._most:
            return False
        return known.file is not FileType.IMAGE or self._fits_picture(picture_size(content))

    @property
    def _readable(self) -> tuple[Format, ...]:
        # An M4A is an MP4 without pictures, and often says that it is an MP4.
        return (*self._wanted, Format.MP4) if Format.M4A in self._wanted else self._wanted

    @property
    def _wanted(self) -> tuple[Format, ...]:
        return self.formats or tuple(known for known in Format if self.file in (None, known.file))

    @property
    def _most(self) -> int:
        return self.largest or (max(_LARGEST.values()) if self.file is None else _LARGEST[self.file])

    def _fits_picture(self, size: tuple[int, int] | None) -> bool:
        if size is None:  # its header is broken
            return False
        shorter, longer = sorted(size)
        return shorter >= self.shortest and (self.steepest is None or longer <= shorter * self.steepest)


@frozen(eq=False)
class AnyMedia(Spec):
    """Any text, or a local file that is not looked at."""

    def _words(self) -> str:
        return "a URL, or a file as a data URI or a file: URI"

    def _fits(self, value: object) -> bool:
        return isinstance(value, str) or is_file(value)


@frozen(eq=False)
class Integer(Spec):
    """A whole number: one of ``choices`` if there are any, from ``least`` to ``most``.

    The vendor's own page gives ``"duration": "5"``, so digits in a string count as the number ("Kling v2 Master").
    """

    choices: tuple[int, ...] = ()
    least: int | None = None
    most: int | None = None

    def _words(self) -> str:
        if not self.choices:
            return "a whole number" + _bounds(self.least, self.most)
        first, last = self.choices[0], self.choices[-1]
        if len(self.choices) > 2 and self.choices == tuple(range(first, last + 1)):  # noqa: PLR2004 - two are a pair, not a range
            return "a whole number" + _bounds(first, last)
        return either([str(choice) for choice in self.choices])

    def _fits(self, value: object) -> bool:
        number = whole(value)
        if number is None or (self.choices and number not in self.choices):
            return False
        return _within(number, self.least, self.most)


@frozen(eq=False)
class Number(Spec):
    """A finite number from ``least`` to ``most``."""

    least: float | None = None
    most: float | None = None

    def _words(self) -> str:
        return "a number" + _bounds(self.least, self.most)

    def _fits(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        finite = isinstance(value, int) or math.isfinite(value)
        return finite and _within(value, self.least, self.most)


@frozen(eq=False)
class Flag(Spec):
    """True or false."""

    def _words(self) -> str:
        return "true or false"

    def _fits(self, value: object) -> bool:
        return isinstance(value, bool)


@frozen(eq=False)
class ListOf(Spec):
    """A list of ``fewest`` to ``most`` items, each as ``item`` says."""

    item: Spec
    fewest: int = 0
    most: int | None = None

    def _words(self) -> str:
        return f"a list{_count(self.fewest, self.most)}, each {self.item.allowed}"

    def _fits(self, value: object) -> bool:
        return _is_list(value) and _within(len(value), self.fewest, self.most)

    def _parts_problems(self, value: object, path: str) -> list[Problem]:
        items = enumerate(value if _is_list(value) else ())
        return [problem for index, item in items for problem in self.item.problems(item, join(path, index))]


@frozen(eq=False)
class Field:
    """A named part of an object.

    Attributes:
        spec: The values it takes.
        required: Whether it must be there.
        default: The vendor's default; None where that is not published.
        nullable: Whether null counts as not there.
    """

    spec: Spec
    required: bool = False
    default: object = None
    nullable: bool = False


@frozen(eq=False)
class Object(Spec):
    """Named fields, and no others."""

    fields: Mapping[str, Field]

    def _words(self) -> str:
        return f"an object of {', '.join(self.fields)}"

    def _fits(self, value: object) -> bool:
        return _is_object(value)

    def _parts_problems(self, value: object, path: str) -> list[Problem]:
        """Return the problems of each field in the order of the spec, then the unknown fields."""
        found: list[Problem] = []
        if not _is_object(value):
            return found
        for name, part in self.fields.items():
            given = value.get(name)
            if given is not None or (name in value and not part.nullable):
                found += part.spec.problems(given, join(path, name))
            elif part.required and name not in value:
                found.append(Problem(join(path, name), None, part.spec.allowed))
        return found + unknown_fields(value, self.fields, path)


@frozen(eq=False)
class OneOf(Spec):
    """Whatever one of the ``options`` takes."""

    options: tuple[Spec, ...]

    def _words(self) -> str:
        return either([option.allowed for option in self.options])

    def _fits(self, value: object) -> bool:
        return not all(option.problems(value) for option in self.options)

    def problems(self, value: object, path: str = "") -> list[Problem]:
        """Return no problem if an option fits; else those of the option whose type fits; else one for the whole."""
        if self._fits(value):
            return []
        found = (option.problems(value, path) for option in self.options)
        inner = (problems for problems in found if all(problem.field != path for problem in problems))
        return next(inner, [Problem(path, value, self.allowed)])


def read(spec: Spec, value: object, as_file: Callable[[object], object] = path_from_uri) -> object:
    """Return the value that plain data stands for: the same, but where files go what ``as_file`` makes of it."""
    match spec:
        case Url():
            return as_file(value)
        case ListOf() if _is_list(value):
            return [read(spec.item, item, as_file) for item in value]
        case Object(fields=fields) if _is_object(value):
            return {
                name: read(fields[name].spec, part, as_file) if name in fields else part for name, part in value.items()
            }
        case OneOf():
            for option in spec.options:  # each leaves alone what another takes
                value = read(option, value, as_file)
        case _:
            pass
    return value


def whole(value: object) -> int | None:
    """Return a whole number in any of its spellings (5, 5.0 and "5" are one to the vendor), or None."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_web_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    blank = any(character.isspace() for character in value)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not blank


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _is_object(value: object) -> TypeGuard[Mapping[Any, object]]:
    return type(value) is dict or isinstance(value, Mapping)


def _within(value: float, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _bounds(least: float | None, most: float | None) -> str:
    if least is None:
        return "" if most is None else f" up to {most}"
    return f" from {least}" if most is None else f" from {least} to {most}"


def _count(fewest: int, most: int | None) -> str:
    if most is None:
        return f" of at least {fewest}" if fewest else ""
    return f" of {fewest} to {most}" if fewest else f" of at most {most}"
