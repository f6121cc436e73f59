"""``python -m kling_async``: the same as the command ``kling-async``."""

from __future__ import annotations

import sys

from kling_async.cli import main

sys.exit(main())
