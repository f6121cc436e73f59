"""The vendor's account endpoints: balance and ledger, spending, log, model list and prices, performance.

A ``read_`` function raises `APIError` for an answer with an error status, and `MalformedResponse` for one that lacks
what was asked for. What else it lacks, or has in another shape, is None; ``raw`` holds the whole answer.
"""
