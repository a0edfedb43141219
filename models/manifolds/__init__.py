"""Continuous attractors: slow lines, rings and sheets, followed and sampled evenly."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
