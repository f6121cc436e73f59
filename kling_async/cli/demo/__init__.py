"""``kling-async demo``: 24 videos from a sandbox with faults, checked, and a report."""
