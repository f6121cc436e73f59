"""When to act: pure decisions, with the instant and the randomness passed in."""
