"""Settings of the validation of a network."""

from __future__ import annotations

from dataclasses import dataclass

from ..parameters import check_parameters, documented, flag, whole

MOST_REPEATS = 10_000  # batches that are held at a time


@documented
@dataclass(frozen=True)
class ValidationSettings:
    """Settings of a validation."""

    noise: bool = flag(False, "whether networks run with their noise")
    n_repeats: int = whole(1, "batches drawn from the task", minimum=1, maximum=MOST_REPEATS)

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)
