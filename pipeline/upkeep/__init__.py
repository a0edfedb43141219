"""Care of a database and its store: what may be removed, and whether rows are still true."""
