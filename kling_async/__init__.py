"""Run many Kling AI video generations at once through AI/ML API."""

__version__ = "0.1.0"
