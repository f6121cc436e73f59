"""A record of every job that outlives the process: states, records, and the journals that keep them."""
