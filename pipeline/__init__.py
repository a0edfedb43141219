"""The pipeline: what is stored and when it is computed.

Importing this package connects to nothing. ``pipeline.connect()`` does. What is public stands in
``__init__.pyi``. It is imported when it is first used: `import pipeline` imports neither DataJoint
nor torch.
"""

import warnings

import lazy_loader

from .database import datajoint_file

# Of DataJoint, when it is imported: that there is no datajoint.json is the normal case, for the
# embedded database needs none.
warnings.filterwarnings("ignore", message="No datajoint.json found")

# Before DataJoint is imported, whichever module does it first.
datajoint_file.prepare()

__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)

# These are attributes too, but a star-import does not bring them.
__all__ = sorted(
    {*_names}
    - {
        "cli",
        "database",
        "exchange",
        "gc",
        "migrations",
        "progress",
        "sharing",
        "store",
        "submission",
        "tables",
        "transient",
        "upkeep",
        "verify",
        "verify_files",
        "verify_rows",
        "workers",
    }
)
