"""Ring attractors of angle memory, and their drift."""
