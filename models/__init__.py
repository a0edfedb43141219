"""Networks: what they are, how they are trained, what their dynamics are.

What is public stands in ``__init__.pyi``. It is imported when it is first used: `import models`
imports neither torch nor matplotlib.
"""

import lazy_loader

__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)

# These are attributes too, but a star-import does not bring them.
__all__ = sorted(
    {*_names}
    - {
        "activity",
        "analysis",
        "circuits",
        "dynamics",
        "engine",
        "files",
        "fixed_points",
        "formulas",
        "learning",
        "machine",
        "manifolds",
        "network",
        "parameters",
        "performance",
        "plots",
        "populations",
        "recordings",
        "training",
    }
)
