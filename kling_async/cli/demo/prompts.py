"""The demo's requests: 24 prompts for eight models, from text and from images."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING

from kling_async import ImageToVideo, TextToVideo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kling_async import Request

_STILLS = "https://example.com/stills"  # the sandbox checks that there is an image, and fetches none


def _words(model: str, **prompts: str) -> list[tuple[str, Request]]:
    return [(_slug(name), TextToVideo(prompt, model=model)) for name, prompt in prompts.items()]


def _images(model: str, **prompts: str) -> list[tuple[str, Request]]:
    return [
        (slug, ImageToVideo(f"{_STILLS}/{slug}.jpg", prompt=prompt, model=model))
        for slug, prompt in ((_slug(name), prompt) for name, prompt in prompts.items())
    ]


def _slug(name: str) -> str:
    return name.replace("_", "-")


_BY_MODEL = (
    _words(
        "klingai/v2.1-master-text-to-video",
        raccoon="A white raccoon tiptoes through a sequoia forest at dawn, its breath hanging in shafts of gold light",
        tea_house="Rain drums on a tin tea house in the Darjeeling hills while steam curls from a hundred cups",
        clockwork="Inside a pocket watch, brass gears the size of houses turn past a tiny mechanic with an oil can",
    ),
    _words(
        "klingai/v2.5-turbo/pro/text-to-video",
        parkour_fox="A red fox runs across the rooftops of Lisbon, tiles slipping under its paws, the tram far below",
        neon_market="A night market in the rain, neon doubled in the puddles, a cook tossing noodles through a flame",
        dandelion="One dandelion seed crosses a whole city in a single gust, past windows and laundry and pigeons",
    ),
    _words(
        "kling-video/v1.6/standard/text-to-video",
        paper_boats="Paper boats with candles drift down a river at dusk, children running along the bank",
        glacier="A glacier calves into a green fjord in slow motion, gulls scattering, spray frozen by the sun",
        chess="Two old men play chess in a park and the pieces, bored of waiting, begin to move by themselves",
    ),
    _words(
        "klingai/video-v2-6-pro-text-to-video",
        orchestra="An orchestra of frogs tunes up on lily pads, a heron in tails raising the baton",
        sand_train="A steam train made of sand crosses the dunes and crumbles, carriage by carriage, into the wind",
        baker="Four in the morning, a baker scores a hundred loaves and every cut opens like a leaf",
    ),
    _images(
        "klingai/v2.1-master-image-to-video",
        lighthouse="The storm breaks over the lighthouse, the beam sweeping through sheets of rain",
        astronaut="The astronaut lifts a hand and fireflies drift out of the open glove",
        origami="The origami crane unfolds its wings, shakes off the dust and flies out of the frame",
    ),
    _images(
        "kling-video/v1.6/standard/image-to-video",
        sunflowers="The sunflowers turn together as the clouds race over the field",
        violin="Dust rises from the strings of the violin as an unseen bow begins to play",
        lantern="The paper lantern catches a breeze, leaves its hook and rises between the pines",
    ),
    _images(
        "klingai/video-v3-standard-image-to-video",
        harbour="Fog slides off the harbour, masts appear one by one and a bell buoy starts to swing",
        espresso="The crema swirls into a galaxy as the camera sinks into the cup",
        snow_globe="Inside the snow globe somebody opens a window and looks up at the falling snow",
    ),
    _images(
        "klingai/video-o1-image-to-video",
        whale="The whale in the mural pushes its head out of the brick wall and breathes",
        bicycle="The old bicycle leans back from the fence and rolls down the lane by itself",
        market_cat="The cat on the melon stall stretches, yawns and knocks down one melon, slowly, on purpose",
    ),
)

PROMPTS = tuple(scene for scenes_together in zip(*_BY_MODEL, strict=True) for scene in scenes_together)
"""Names and requests; neighbours are for different models."""


def prompts(number: int) -> Iterator[tuple[str, Request]]:
    """Yield this many names and requests; beyond 24 the prompts repeat under new names."""
    for place, (slug, request) in enumerate(islice(cycle(PROMPTS), number), start=1):
        yield f"{place:0{max(2, len(str(number)))}}-{slug}", request
