"""Networks in files: our own formats and those of other programs."""
