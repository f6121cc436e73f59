"""The journal in one SQLite file, written by one thread of one session at a time."""
