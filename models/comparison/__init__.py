"""How alike networks are: distances between them, and what many distances look like."""
