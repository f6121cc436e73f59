"""What is remembered of every job: its states, its record, and where records are kept."""
