"""Rates of requests and schedules of polls: pure decisions, with the instant and the randomness passed in."""
