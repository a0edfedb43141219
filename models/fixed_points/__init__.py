"""The search for all fixed points of a network at a constant input, and proof of what it found."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
