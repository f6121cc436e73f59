"""``batch``, ``resume`` and ``cost``: read rows, price them, run them, download their files."""
