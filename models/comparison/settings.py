"""Settings of comparisons of networks, and of what is made of many distances."""

from __future__ import annotations

from dataclasses import dataclass

from ..parameters import check_parameters, choice, documented, name, number, whole
from ..populations.settings import FEWEST_SHUFFLES, NO_P

# Distances of a pair, in the order of columns and pages.
DISTANCES = (
    "output_distance", "choice_distance", "procrustes_distance", "matching_distance",
    "cka_distance", "rsa_distance", "point_number_distance", "point_index_distance",
    "point_spectrum_distance", "dsa_distance", "weight_distance", "singular_value_distance",
)  # fmt: skip


@documented
@dataclass(frozen=True)
class ComparisonSettings:
    """Settings of the comparison of networks of one task."""

    max_trials: int = whole(
        64, "trials at most, spread over the task's batch: the same of all networks", minimum=2
    )
    n_times: int = whole(
        40, "bins of a trial, in which activity is averaged", minimum=1, maximum=10_000
    )
    n_components: int = whole(
        20,
        "principal components of the activity that are compared",
        minimum=1,
        maximum=1000,
        details="What they hold of the variance is kept with each network.",
    )
    silent_below: float = number(
        1e-3, "largest |rate| of a silent unit, over all trials and steps", minimum=0.0
    )
    match: str = choice(
        "units",
        ("units", "none"),
        "whether units are matched one to one",
        details="The matching distance and that of weights need it; of networks of N 1000 a pair "
        "takes a quarter of a second.",
    )
    search: str = name(
        "exact",
        "search whose sets of fixed points are compared",
        details='Networks wait for it. "": sets are not compared.',
    )
    n_eigenvalues: int = whole(
        5, "eigenvalues of a fixed point that are compared, the largest real parts", minimum=1
    )
    cutoff: float = number(
        1.0,
        "largest distance between the eigenvalues of two points, and what a missing point counts",
        exclusive_minimum=0.0,
        unit="1 / tau",
        least=1e-6,
        because="is so small that all points are equally far",
    )
    dsa: str = choice(
        "none",
        ("none", "wasserstein", "angular", "euclidean"),
        "dynamical similarity analysis: how operators are compared (extra `dsa`)",
        details="wasserstein compares eigenvalues, in half a millisecond a pair; the "
        "others optimise an orthogonal matrix for each pair, which takes seconds.",
    )
    dsa_delays: int = whole(5, "delays of its embedding", minimum=1, maximum=1000)
    dsa_rank: int = whole(10, "rank of its linear operator", minimum=1, maximum=1000)

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)


@documented
@dataclass(frozen=True)
class EmbeddingSettings:
    """Settings of the embedding of networks by their distances."""

    distance: str = choice("procrustes_distance", DISTANCES, "distance that is embedded")
    n_dimensions: int = whole(2, "dimensions of the embedding", minimum=2, maximum=100)
    max_classes: int = whole(10, "classes at most", minimum=2, maximum=100)
    n_shuffles: int = whole(
        200, "permutations of networks in the controls", minimum=0, maximum=10_000,
        least=FEWEST_SHUFFLES, or_zero=True, because=NO_P,
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)
