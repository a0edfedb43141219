"""Types of queries, for annotations: DataJoint does not annotate its own.

What they are is in ``typings/datajoint/__init__.pyi``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datajoint import _Cursor as Cursor
    from datajoint import _Job as Job
    from datajoint import _Query as Query
    from datajoint import _Restriction as Restriction
else:
    from datajoint.expression import QueryExpression as Query
    from datajoint.jobs import Job

    Cursor = Restriction = Any

__all__ = ["Cursor", "Job", "Query", "Restriction"]
