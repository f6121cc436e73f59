"""The vendor's API: requests, answers and the catalogue of models, as pure values and functions; no I/O, no clock."""
