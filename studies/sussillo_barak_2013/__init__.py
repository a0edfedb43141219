"""Fixed points of a three-bit memory (Sussillo & Barak 2013)."""
