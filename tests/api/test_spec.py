from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import data_uri, png

from kling_async.api.catalogue.problems import Problem, refusal
from kling_async.api.catalogue.spec import Field, Flag, Integer, ListOf, Number, Object, OneOf, Spec, Text, Url, whole
from kling_async.api.reprs import show

MEDIA = (
    "an http(s) URL, a data: URI, or a file as a Path or bytes"
    " (JPEG, PNG, WebP, MP3, WAV, M4A, AAC, MP4 or MOV, at most 200 MB)"
)
SHOT = Object({"prompt": Field(Text(), required=True), "duration": Field(Integer((1, 2)), nullable=True)})
SPECS: list[Spec] = [
    Text(),
    Text(("a", "b")),
    Text(longest=3, blank=False),
    Url(),
    Integer(),
    Integer((5, 10)),
    Integer(least=-10, most=10),
    Number(0, 1),
    Flag(),
    ListOf(Text(), 1, 2),
    OneOf((Text(), SHOT)),
    SHOT,
]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.sets(st.integers()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
    max_leaves=10,
)

TAKEN: list[tuple[Spec, Any]] = [
    (Text(), ""),
    (Text(("a", "b")), "b"),
    (Text(longest=3), "abc"),
    (Url(), "https://host.example/a.png?b=%20c"),
    (Url(), "HTTP://host.example"),
    (Url(), data_uri(png())),
    (Integer(), -3),
    (Integer((5, 10)), "5"),
    (Integer((5, 10)), 10.0),
    (Integer(least=-10, most=10), -10),
    (Number(0, 1), 0),
    (Number(0, 1), 0.9),
    (Number(), 10**400),
    (Flag(), False),
    (ListOf(Text(), 1, 2), ("a", "b")),
    (OneOf((Url(), ListOf(Url()))), ["http://a/b"]),
    (SHOT, {"prompt": "a", "duration": None}),
]

PICTURE = "an http(s) URL, a data: URI, or for a file a Path or bytes, JPEG, PNG or WebP, at most 50 MB"
REFUSED: list[tuple[Spec, Any, str]] = [
    (Text(), 5, "text"),
    (Text(), None, "text"),
    (Text(("a", "b", "c")), "d", "'a', 'b' or 'c'"),
    (Text(longest=3), "abcd", "text, at most 3 characters"),
    (Text(blank=False), " \n", "text that is not blank"),
    (Url(), "raccoon.png", MEDIA),
    (Url(), "file:///etc/passwd", MEDIA),
    (Url(), "https://", MEDIA),
    (Url(), "https://host/a b.png", MEDIA),
    (Url(), "https://[::1/a", MEDIA),
    (Url(), "data:image/png", MEDIA),
    (Integer(), True, "a whole number"),
    (Integer(), 5.5, "a whole number"),
    (Integer(), float("nan"), "a whole number"),
    (Integer(), "five", "a whole number"),
    (Integer(), "\u0665", "a whole number"),
    (Integer((5, 10)), 7, "5 or 10"),
    (Integer((3, 4, 5)), 6, "a whole number from 3 to 5"),
    (Integer(least=1), 0, "a whole number from 1"),
    (Integer(most=9), 10, "a whole number up to 9"),
    (Integer(least=-10, most=10), 11, "a whole number from -10 to 10"),
    (Number(0, 1), 1.01, "a number from 0 to 1"),
    (Number(), float("nan"), "a number"),
    (Number(), float("inf"), "a number"),
    (Number(), True, "a number"),
    (Number(), "0.5", "a number"),
    (Flag(), 1, "true or false"),
    (ListOf(Text()), "abc", "a list, each text"),
    (ListOf(Text(), 1), [], "a list of at least 1, each text"),
    (ListOf(Text(), 1, 2), ["a", "b", "c"], "a list of 1 to 2, each text"),
    (ListOf(Text(), most=1), ["a", "b"], "a list of at most 1, each text"),
    (OneOf((Flag(), Number())), "x", "true or false or a number"),
    (SHOT, "x", "an object of prompt, duration"),
]


@pytest.mark.parametrize(("spec", "value"), TAKEN)
def test_a_value_that_fits_has_no_problems(spec: Spec, value: object) -> None:
    assert spec.problems(value, "it") == []


@pytest.mark.parametrize(("spec", "value", "allowed"), REFUSED)
def test_a_value_that_does_not_fit_is_one_problem_that_says_what_would(spec: Spec, value: object, allowed: str) -> None:
    (problem,) = spec.problems(value, "it")
    assert (problem.field, problem.allowed) == ("it", allowed)
    assert problem.value is value


@given(st.sampled_from(SPECS), anything)
def test_no_value_makes_a_spec_raise(spec: Spec, value: object) -> None:
    for problem in spec.problems(value, "it"):
        assert problem.field.startswith("it")
        assert str(problem)


def test_an_object_names_every_problem_by_its_dotted_path() -> None:
    spec = Object({"shots": Field(ListOf(SHOT)), "size": Field(Integer(), required=True)})
    problems = spec.problems({"shots": [{"prompt": "a"}, {"duration": 3}], "sise": 1})
    assert [(problem.field, problem.value) for problem in problems] == [
        ("shots.1.prompt", None),
        ("shots.1.duration", 3),
        ("size", None),
        ("sise", 1),
    ]


def test_an_unknown_field_is_told_what_it_may_have_been_meant_to_be() -> None:
    (problem,) = SHOT.problems({"prompt": "a", "duratoin": 1})
    assert problem.allowed == "only the fields prompt, duration (did you mean duration?)"


def test_null_is_refused_where_the_vendor_does_not_take_it() -> None:
    assert [problem.field for problem in SHOT.problems({"prompt": None})] == ["prompt"]


def test_of_several_options_the_one_with_the_right_shape_tells_the_problems() -> None:
    (problem,) = OneOf((Text(), SHOT)).problems({"prompt": 5}, "shots.0")
    assert (problem.field, problem.allowed) == ("shots.0.prompt", "text")


@pytest.mark.parametrize(
    ("value", "number"), [(5, 5), ("5", 5), ("-05", -5), (5.0, 5), (True, None), ("5.0", None)], ids=repr
)
def test_a_whole_number_is_read_in_every_spelling(value: object, number: int | None) -> None:
    assert whole(value) == number
    assert not isinstance(whole(value), bool)


def test_a_problem_names_field_value_and_what_is_allowed() -> None:
    assert str(Problem("duration", 7, "5 or 10")) == "duration is 7; allowed: 5 or 10"
    assert str(Problem("prompt", None, "text")) == "prompt is missing; allowed: text"


def test_a_long_value_is_shortened_in_messages_and_reprs() -> None:
    uri = "data:image/png;base64," + "A" * 10_000
    assert len(show(uri)) < 100
    assert len(repr(Problem("image_url", uri, "text"))) < 200


def test_a_refusal_tells_the_first_problem_and_names_them_all() -> None:
    error = refusal([Problem("duration", 7, "5 or 10"), Problem("cfg_scale", 2, "a number from 0 to 1")])
    assert (error.field, error.value, error.allowed) == ("duration", 7, "5 or 10")
    assert str(error) == "duration is 7; allowed: 5 or 10; cfg_scale is 2; allowed: a number from 0 to 1"
