"""Care of a database and its store: what may be removed, and whether rows are still true."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
