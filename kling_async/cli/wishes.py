"""Options that say what a video is to be, by the names that the columns of a batch have."""

from __future__ import annotations

from typing import Annotated, Any

from attrs import frozen
from cyclopts import Parameter

from kling_async import ConfigurationError
from kling_async.api.reprs import show
from kling_async.cli.files import here
from kling_async.cli.media import missing, with_paths

__all__ = ["WISHES", "Wishes"]


@Parameter(name="*", group="Video")
@frozen(kw_only=True)
class Wishes:
    """What is asked for. Files are given by their paths or URLs."""

    model: Annotated[str | None, Parameter(name=("--model", "-m"))] = None
    """The vendor's id of the model; `kling-async models` lists them. By default v2.1 master."""
    duration: int | None = None
    """The length in seconds."""
    aspect_ratio: str | None = None
    """16:9, 9:16 or 1:1."""
    negative_prompt: str | None = None
    """What not to show."""
    cfg_scale: float | None = None
    """How closely to follow the prompt, from 0 to 1."""
    image: tuple[str, ...] = ()
    """The image to begin with, a file or a URL; give several for models that take several."""
    tail_image: str | None = None
    """The image to end with."""
    video: str | None = None
    """The video to work from."""
    audio: str | None = None
    """The sound to go by."""
    set: Annotated[tuple[str, ...], Parameter(name="--set", metavar="FIELD=VALUE")] = ()
    """Any other field of the model, such as generate_audio=true; may be given several times."""

    def cells(self) -> dict[str, Any]:
        """What is wished for, by the names of the fields; paths are relative to the current folder.

        Raises:
            ConfigurationError: An option is not of its form, or names a file that is not there.
        """
        given = {
            "model": self.model,
            "duration": self.duration,
            "aspect_ratio": self.aspect_ratio,
            "negative_prompt": self.negative_prompt,
            "cfg_scale": self.cfg_scale,
            "image_url": self.image[0] if len(self.image) == 1 else None,
            "image_list": list(self.image) if len(self.image) > 1 else None,
            "tail_image_url": self.tail_image,
            "video_url": self.video,
            "audio_url": self.audio,
        }
        known = {name: value for name, value in given.items() if value is not None}
        cells, paths = with_paths(known | dict(map(_setting, self.set)), here())
        for name, reason in missing(paths):
            raise ConfigurationError(f"{name}: {reason}")
        return cells


WISHES = Wishes()


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name.strip()):
        raise ConfigurationError(f"--set takes FIELD=VALUE, such as generate_audio=true, and not {show(text)}")
    return name.strip(), value
