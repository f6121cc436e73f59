"""A journal in a PostgreSQL database, which sessions of any number of hosts share."""
