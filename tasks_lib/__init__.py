"""Behavioural tasks: inputs and targets of trials.

What is public stands in ``__init__.pyi``, and is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)

# These are attributes too, but a star-import does not bring them.
__all__ = sorted(
    {*_names}
    - {
        "angles",
        "base",
        "cddm",
        "checks",
        "columns",
        "comparison",
        "dmts",
        "errors",
        "flip_flop",
        "go_no_go",
        "imports",
        "logic",
        "memory",
        "mixture",
        "navigation",
        "registry",
        "sizes",
        "windows",
    }
)
