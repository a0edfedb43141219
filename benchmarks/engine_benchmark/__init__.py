"""What `benchmarks/engine.py` is made of: the problem, the sides, the measuring, the page."""
