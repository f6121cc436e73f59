"""A local stand-in for the vendor, to try things with and to test against, without a key, a bill or a network.

``Sandbox`` serves on the running loop, ``SandboxThread`` from a thread, and the pytest fixture ``kling_sandbox`` comes
with the library. ``Faults`` says what goes wrong, and ``CallRecorder`` knows what really happened.
"""

from __future__ import annotations

from kling_async.sandbox.faults import Faults, Kind, Trigger, When
from kling_async.sandbox.ledger import CallRecorder, Charge, FileRequest, Poll, Purchase, Submit
from kling_async.sandbox.server import Sandbox, SandboxThread
from kling_async.sandbox.settings import Recording

__all__ = [
    "CallRecorder",
    "Charge",
    "Faults",
    "FileRequest",
    "Kind",
    "Poll",
    "Purchase",
    "Recording",
    "Sandbox",
    "SandboxThread",
    "Submit",
    "Trigger",
    "When",
]
