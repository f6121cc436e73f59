from __future__ import annotations

from itertools import pairwise

from kling_async import ImageToVideo, TextToVideo
from kling_async.cli.commands.sandbox import PROMPTS, prompts


def test_there_are_24_requests_with_prompts_of_their_own() -> None:
    prompts = {getattr(request, "prompt", None) for _, request in PROMPTS}
    assert len(prompts) == len({slug for slug, _ in PROMPTS}) == len(PROMPTS) == 24


def test_they_take_at_least_three_models_and_both_kinds() -> None:
    assert len({request.model for _, request in PROMPTS}) >= 3
    assert {type(request) for _, request in PROMPTS} == {TextToVideo, ImageToVideo}


def test_neighbours_are_for_different_models() -> None:
    assert all(one.model != next_one.model for (_, one), (_, next_one) in pairwise(PROMPTS))


def test_each_is_a_valid_request() -> None:
    for _, request in PROMPTS:
        request.check()


def test_any_number_of_them_has_names_that_sort_in_order() -> None:
    names = [name for name, _ in prompts(120)]
    assert names[:2] == ["001-raccoon", "002-parkour-fox"]
    assert names == sorted(set(names))
