"""Types of queries, for annotations: DataJoint does not annotate its own.

What they are is in ``typings/datajoint/__init__.pyi``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import datajoint as dj

if TYPE_CHECKING:
    from datajoint import _Cursor as Cursor
    from datajoint import _Job as Job
    from datajoint import _Query as Query
    from datajoint import _Restriction as Restriction
else:
    from datajoint.expression import QueryExpression as Query
    from datajoint.jobs import Job

    Cursor = Restriction = Any

# A table that workers fill; a lab's own may be imported too.
Populated: TypeAlias = dj.Computed | dj.Imported

__all__ = ["Cursor", "Job", "Populated", "Query", "Restriction"]
