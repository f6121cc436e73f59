"""The stand-in for every vendor at once: one ledger, and each peer's own protocol in front of it."""
