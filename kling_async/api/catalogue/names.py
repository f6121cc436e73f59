"""What editors and type checkers may suggest: the catalogue's ids and choices, as types. Any other text passes, too."""

from typing import Literal, TypeAlias

AspectRatio: TypeAlias = Literal["16:9", "9:16", "1:1"]

TextToVideoModel: TypeAlias = Literal[
    "kling-video/v1.5/pro/text-to-video",
    "kling-video/v1.6/pro/text-to-video",
    "kling-video/v1.6/standard/text-to-video",
    "kling-video/v1/pro/text-to-video",
    "kling-video/v1/standard/text-to-video",
    "klingai/v2-master-text-to-video",
    "klingai/v2.1-master-text-to-video",
    "klingai/v2.5-turbo/pro/text-to-video",
    "klingai/video-v2-6-pro-text-to-video",
    "klingai/video-v3-omni-1080p-text-to-video",
    "klingai/video-v3-omni-720p-text-to-video",
    "klingai/video-v3-pro-text-to-video",
    "klingai/video-v3-standard-text-to-video",
    "klingai/video-v3-standard-turbo-text-to-video",
    "klingai/video-v3-turbo-pro-text-to-video",
]
ImageToVideoModel: TypeAlias = Literal[
    "kling-video/v1.5/pro/image-to-video",
    "kling-video/v1.5/standard/image-to-video",
    "kling-video/v1.6/pro/image-to-video",
    "kling-video/v1.6/standard/image-to-video",
    "kling-video/v1/pro/image-to-video",
    "kling-video/v1/standard/image-to-video",
    "kling-video/v2.1/pro/image-to-video",
    "kling-video/v2.1/standard/image-to-video",
    "klingai/v2-master-image-to-video",
    "klingai/v2.1-master-image-to-video",
    "klingai/v2.5-turbo/pro/image-to-video",
    "klingai/video-o1-image-to-video",
    "klingai/video-v2-6-pro-image-to-video",
    "klingai/video-v3-omni-1080p-image-to-video",
    "klingai/video-v3-omni-720p-image-to-video",
    "klingai/video-v3-pro-image-to-video",
    "klingai/video-v3-standard-image-to-video",
    "klingai/video-v3-standard-turbo-image-to-video",
    "klingai/video-v3-turbo-pro-image-to-video",
]
MultiImageToVideoModel: TypeAlias = Literal["kling-video/v1.6/standard/multi-image-to-video"]
EffectModel: TypeAlias = Literal["klingai/kling-video-v1.6-pro-effects", "klingai/kling-video-v1.6-standard-effects"]
AvatarModel: TypeAlias = Literal["klingai/avatar-pro", "klingai/avatar-standard"]
MotionControlModel: TypeAlias = Literal["klingai/video-v2-6-motion-control", "klingai/video-v3-motion-control"]
ReferenceToVideoModel: TypeAlias = Literal["klingai/video-o1-reference-to-video"]
VideoEditModel: TypeAlias = Literal["klingai/video-o1-video-to-video-edit"]
VideoReferenceModel: TypeAlias = Literal["klingai/video-o1-video-to-video-reference"]
