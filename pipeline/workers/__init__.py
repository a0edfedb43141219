"""Workers that fill the tables: their jobs, heartbeats, failures and supervision."""
