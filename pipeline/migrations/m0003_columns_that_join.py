"""Let every two tables be joined: columns that mean different things have different names.

DataJoint joins on all columns of a name, and refuses where these are not of one origin:
``FixedPoints * Training.Network`` had two of the name ``status``.
"""

from __future__ import annotations

from pipeline.database.alterations import Alterations

REQUIRED = True

# Schema, table -> old name and new name of its columns.
RENAMED = {
    ("performance", "__psychometric"): {"mse": "grid_mse", "figure": "curves_figure"},
    ("dynamics", "__fixed_points"): {"status": "search_status", "seconds": "search_seconds"},
    ("dynamics", "__linearization"): {"n_points": "n_linearized"},
    ("dynamics", "__fixed_point_plot"): {"figure": "figure_2d"},
    ("dynamics", "__continuous_attractor_plot"): {"figure": "manifold_figure"},
    ("dynamics", "__line_attractor"): {"figure": "line_figure"},
    ("dynamics", "__line_attractor__context"): {
        "context": "line_context",
        "leading_real": "line_leading_real",
        "time_constant": "line_time_constant",
        "speed": "line_speed",
        "eigenvalues": "line_eigenvalues",
        "right_vectors": "line_right_vectors",
        "direction": "line_direction",
    },
}


def migrate(database: Alterations) -> None:
    """Rename the columns."""
    there = database.structure()
    for (schema, table), names in RENAMED.items():
        if (schema, table) in there:
            for old, new in names.items():
                database.rename_column(schema, table, old, new)
