"""Published results as submissions: their networks, the numbers to hit, and what was hit."""
