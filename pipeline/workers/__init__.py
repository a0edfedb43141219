"""Who fills the tables: workers, their jobs and heartbeats, and what becomes of failures."""
