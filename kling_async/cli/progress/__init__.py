"""Progress of a session: a tracker fed by events, and displays for terminals and for pipes."""
