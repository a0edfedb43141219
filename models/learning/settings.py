"""Settings of following fixed points from one set of weights to another."""

from __future__ import annotations

from dataclasses import dataclass

from ..parameters import check_parameters, documented, number, whole


@documented
@dataclass(frozen=True)
class FollowSettings:
    """Settings of following fixed points between two sets of weights."""

    longest_step: float = number(
        0.05,
        "longest step along a curve of fixed points",
        exclusive_minimum=0.0,
        maximum=1.0,
        least=1e-5,
        because="is so short that no curve is followed to its end",
        details="Of its length in s and in x over the norm of the largest state.",
    )
    most_steps: int = whole(2000, "steps along a curve at most", minimum=10, maximum=10**6)
    same_point: float = number(
        1e-4,
        "distance up to which two states are one, over the norm of the largest state",
        exclusive_minimum=0.0,
        maximum=0.1,
        least=1e-12,
        because="is below what float64 can tell",
    )

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)
