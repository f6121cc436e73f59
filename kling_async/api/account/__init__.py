"""The vendor's account endpoints: balance and ledger, spending, log, model list and prices, performance."""
