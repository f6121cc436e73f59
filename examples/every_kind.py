r"""Every kind of job there is: from words, from images, from a voice, and from other videos.

Names of kinds on the command line pick some of them; without any, all nine videos are bought. The media are URLs of
yours; a ``Path`` or a file's bytes go wherever a URL does. Run it with an AI/ML API key in AIMLAPI_API_KEY::

    python examples/every_kind.py effect avatar
"""

import asyncio
import sys
from collections.abc import Collection

from kling_async import (
    Avatar,
    CameraConfig,
    CameraControl,
    DynamicMask,
    Effect,
    Element,
    GenerationFailed,
    ImageToVideo,
    KlingSession,
    MotionControl,
    MultiImageToVideo,
    Point,
    ReferenceToVideo,
    Request,
    Shot,
    TextToVideo,
    VideoEdit,
    VideoReference,
)

FOX = "https://media.example/fox.png"
FOX_MASK = "https://media.example/fox-mask.png"
BEAR = "https://media.example/bear.png"
ANN = "https://media.example/ann.jpg"
BOB = "https://media.example/bob.jpg"
VOICE = "https://media.example/voice.mp3"
DANCE = "https://media.example/dance.mp4"

REQUESTS: dict[str, Request] = {
    # Several scenes, each with a length of its own. Most models take a single prompt: TextToVideo("a fox in the snow").
    "text-to-video": TextToVideo(
        model="klingai/video-v3-turbo-pro-text-to-video",
        multi_prompt=[Shot("a fox wakes in the snow", 3), Shot("it runs towards the sea", 5)],
        duration=8,
        aspect_ratio="16:9",
    ),
    # The fox moves along a path while the camera comes closer.
    "image-to-video": ImageToVideo(
        FOX,
        prompt="the fox strolls off",
        dynamic_masks=[DynamicMask(FOX_MASK, [Point(200, 400), Point(350, 390), Point(600, 420)])],
        camera_control=CameraControl("simple", CameraConfig(zoom=4)),
    ),
    "multi-image-to-video": MultiImageToVideo([FOX, BEAR], prompt="the two meet at a river"),
    # Two persons, left and right; other scenes need one: Effect(ANN, "squish").
    "effect": Effect([ANN, BOB], "hug"),
    "avatar": Avatar(ANN, VOICE, prompt="she tells it with a smile"),
    "motion-control": MotionControl(BOB, DANCE, character_orientation="video", mode="pro"),
    "reference-to-video": ReferenceToVideo(
        "the fox of the pictures on a tram", elements=[Element([FOX], frontal_image_url=FOX)], duration=5
    ),
    "video-edit": VideoEdit("let it snow", DANCE, keep_audio=True),
    "video-reference": VideoReference("the next scene, at night", DANCE, image_list=[BOB], duration=5),
}


async def main(session: KlingSession, folder: str, kinds: Collection[str] = ()) -> None:
    """Run a job of each of these kinds, or of all, into a folder."""
    async with session as kling:
        jobs = [kling.submit(request, tag=kind) for kind, request in REQUESTS.items() if not kinds or kind in kinds]
        async for job in kling.as_completed(jobs):
            try:
                print(f"{job.tag}: {await kling.download(job, into=folder)}")
            except GenerationFailed as error:
                print(f"{job.tag}: {error}")


if __name__ == "__main__":
    asyncio.run(main(KlingSession(), "videos", sys.argv[1:]))
