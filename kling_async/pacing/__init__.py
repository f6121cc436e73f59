"""How fast to send and when to poll: pure decisions, with the instant and the randomness passed in."""
