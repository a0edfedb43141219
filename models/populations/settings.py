"""Settings of the analyses of populations."""

from __future__ import annotations

from dataclasses import dataclass

from tasks_lib.errors import ParameterError

from ..parameters import (
    check_parameters,
    choice,
    documented,
    flag,
    name,
    number,
    refuse_unmeant,
    whole,
)

MOST_SHUFFLES = 10_000
LONGEST_DELAY = 1000.0  # in trials
FEWEST_SHUFFLES = 19  # with which p = (1 + k) / (1 + n) can be 0.05
NO_P = "is too few for a p of 0.05, which is (1 + k) / (1 + n)"
NO_SPREAD = "is too few: one alone has no spread"
LONGEST = 1e6  # units of tau
NO_TIME = "is no time in which a network comes to rest, or one that no machine runs"
TOO_LONG = "is a time that no machine runs"
TRIALS = "trials at most, spread over the task's batch; of large networks fewer"


@documented
@dataclass(frozen=True)
class PopulationSettings:
    """Settings of the description of a population."""

    noise: bool = flag(False, "whether the network runs with its noise")
    n_repeats: int = whole(1, "how often each trial is run", minimum=1, maximum=1000)
    max_trials: int = whole(256, TRIALS, minimum=2)
    silent_below: float = number(
        1e-3, "largest |rate| of a silent unit, over all trials and steps", minimum=0.0
    )
    participation_quantile: float = number(
        0.9, "quantile of |r| in a unit's participation", minimum=0.0, maximum=1.0
    )
    n_shuffles: int = whole(
        100, "permutations of the trials in the control", minimum=0, maximum=MOST_SHUFFLES,
        least=FEWEST_SHUFFLES, or_zero=True, because=NO_P,
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)


@documented
@dataclass(frozen=True)
class SubspaceSettings:
    """Settings of regression subspaces and decoders."""

    noise: bool = flag(
        True,
        "whether the network runs with its noise",
        details="Without it decoders know nearly everything.",
    )
    n_repeats: int = whole(1, "how often each trial is run", minimum=1, maximum=1000)
    max_trials: int = whole(256, TRIALS, minimum=4)
    silent_below: float = number(
        1e-3, "largest |rate| of a silent unit, over all trials and steps", minimum=0.0
    )
    n_components: int = whole(
        12, "principal components that coefficients are projected onto", minimum=1
    )
    n_bins: int = whole(8, "bins of a trial in which decoders are trained", minimum=1, maximum=100)
    n_folds: int = whole(5, "folds of the cross-validation", minimum=2, maximum=100)
    ridge: float = number(
        10.0, "penalty of a decoder's weights, of standardised rates", exclusive_minimum=0.0
    )
    n_shuffles: int = whole(
        50, "permutations of the trials in the control", minimum=0, maximum=MOST_SHUFFLES,
        least=FEWEST_SHUFFLES, or_zero=True, because=NO_P,
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)


INTERVENTIONS = (
    "silence", "perturb", "weight_noise", "quantise", "noise", "input_gain", "delay",
)  # fmt: skip
TARGETS = (
    "none", "participation", "mean_rate", "output_weights", "readout", "selection_vector",
    "fixed_point", "regressor", "cluster",
)  # fmt: skip
OF_KIND = {
    "silence": ("participation", "mean_rate", "output_weights", "cluster"),
    "perturb": ("readout", "selection_vector", "fixed_point", "regressor"),
}
SMALLEST = {"silence": 1e-4, "delay": 1e-4}  # less than a unit of 10,000, or a step of as many


def named_cluster(target_of: str) -> tuple[str, str]:
    """Return the way of clustering that a target names, "" for any, and the cluster's number."""
    way, _, number = target_of.rpartition(": ")
    return way, number or ("" if way else "0")


@documented
@dataclass(frozen=True)
class InterventionSettings:
    """Settings of an intervention in a trained network."""

    kind: str = choice(
        "silence",
        INTERVENTIONS,
        "what is done",
        details="silence: units send nothing. perturb: states are moved along a vector. "
        "weight_noise, quantise: of W_rec. noise: recurrent noise. input_gain: inputs are "
        "multiplied. delay: one step's inputs are held for longer.",
    )
    target: str = choice(
        "participation",
        TARGETS,
        "by what units are ranked, or the vector that states are moved along",
        details="silence: participation, mean_rate or output_weights, the largest first, or the "
        "units of a cluster (by number, 0 is the largest). perturb: "
        "readout (a row of W_out), selection_vector (of a line attractor), fixed_point (direction "
        "of its first mode) or regressor (axis of a variable). Others: none.",
    )
    target_of: str = name(
        "",
        "which one: an output, a context, an input of the analysis, a variable or a cluster",
        details='"": the first. A cluster by its number, as "2", or where units are clustered in '
        'several ways, "WAY: 2" with the name of the way.',
    )
    largest: float = number(
        0.5,
        "largest strength",
        exclusive_minimum=0.0,
        details="silence: share of the units, up to 1. perturb: length in root mean square "
        "deviations of the states from their mean, in both directions. weight_noise: standard "
        "deviation over that of W_rec. quantise: step over the largest weight. noise: sigma_rec "
        "added. input_gain: inputs times 1 - and 1 + this. delay: share of the trial.",
    )
    n_strengths: int = whole(4, "strengths, evenly spaced up to the largest", minimum=1, maximum=50)
    at: float = number(
        0.5, "when states are moved or inputs held, as share of a trial", minimum=0.0, maximum=1.0
    )
    n_controls: int = whole(
        6, "random controls of the same strength, or draws", minimum=0, maximum=1000,
        least=2, or_zero=True, because=NO_SPREAD,
    )  # fmt: skip
    max_trials: int = whole(32, TRIALS, minimum=2)

    def __post_init__(self) -> None:
        """Check every field, and that they fit each other."""
        check_parameters(self)
        allowed = OF_KIND.get(self.kind, ("none",))
        if self.target not in allowed:
            raise ParameterError(
                "target", self.target, f"is no target of {self.kind}", f"use {', '.join(allowed)}"
            )
        if self.target == "cluster" and not named_cluster(self.target_of)[1].isdecimal():
            remedy = (
                'give its number, 0 is the largest, or "WAY: 0", the name of a clustering first'
            )
            raise ParameterError("target_of", self.target_of, "is no cluster", remedy)
        smallest = SMALLEST.get(self.kind, 1e-6)
        if self.largest < smallest:
            problem = f"is too small for {self.kind} to change anything"
            refuse_unmeant("largest", self.largest, problem, f"use at least {smallest:g}")
        if self.kind == "silence" and self.largest > 1:
            raise ParameterError("largest", self.largest, "is a share of the units", "use up to 1")
        if self.kind == "delay" and self.largest > LONGEST_DELAY:
            remedy = f"use up to {LONGEST_DELAY:g}"
            raise ParameterError("largest", self.largest, "is too long, in trials", remedy)


@documented
@dataclass(frozen=True)
class ClusterSettings:
    """Settings of clusters of units."""

    features: str = choice(
        "task_variance",
        ("task_variance", "response"),
        "what units are compared by",
        details="task_variance: variance between trials by period, and by the values of the "
        "task's first variable that is a name; of a mixture by task. response: mean response over "
        "time by condition.",
    )
    max_clusters: int = whole(10, "clusters at most", minimum=2, maximum=100)
    n_resamples: int = whole(
        5, "halves of the trials by which stability is measured", minimum=0, maximum=1000,
        least=2, or_zero=True, because=NO_SPREAD,
    )  # fmt: skip
    n_shuffles: int = whole(
        5, "permutations of units within each feature, or of labels", minimum=0, maximum=1000,
        least=2, or_zero=True, because=NO_SPREAD,
    )  # fmt: skip
    max_trials: int = whole(256, TRIALS, minimum=4)
    silent_below: float = number(
        1e-3, "largest |rate| of a silent unit, over all trials and steps", minimum=0.0
    )

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)


@documented
@dataclass(frozen=True)
class LyapunovSettings:
    """Settings of Lyapunov exponents."""

    n_exponents: int = whole(3, "largest exponents", minimum=1, maximum=1000)
    n_starts: int = whole(
        4, "states of trials from which the network runs on", minimum=1, maximum=1000
    )
    settle: float = number(
        50.0, "time before exponents are measured", minimum=0.0, unit="units of tau",
        most=LONGEST, because=TOO_LONG,
    )  # fmt: skip
    duration: float = number(
        100.0, "time over which they are measured", exclusive_minimum=0.0, unit="units of tau",
        least=1.0, most=LONGEST, because=NO_TIME,
    )  # fmt: skip
    zero: float = number(
        0.02, "exponents up to this size are no sign of growth or decay", minimum=0.0,
        unit="1 / tau", most=0.5, because="calls the decay of a single unit, 1 / tau, none",
    )  # fmt: skip
    max_trials: int = whole(32, TRIALS, minimum=2)

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)


@documented
@dataclass(frozen=True)
class BasinSettings:
    """Settings of basins of attraction."""

    n_starts: int = whole(
        200, "starts", minimum=1, maximum=1_000_000,
        least=10, because="is too few for shares of them",
    )  # fmt: skip
    spread: float = number(
        1.0,
        "standard deviation of the starts around states of trials",
        minimum=0.0,
        unit="standard deviations of these states",
        most=1000.0,
        because="is far from every state of a trial",
    )
    duration: float = number(
        100.0, "time after which starts have ended", exclusive_minimum=0.0, unit="units of tau",
        least=1.0, most=LONGEST, because=NO_TIME,
    )  # fmt: skip
    tolerance: float = number(
        0.05,
        "distance up to which a start has ended at a point",
        exclusive_minimum=0.0,
        maximum=0.5,
        least=1e-6,
        because="is so small that no start arrives in time",
        details="As share of the distance between the two closest points, or of the spread of the "
        "states where there is one point.",
    )

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)


@documented
@dataclass(frozen=True)
class RankOneSettings:
    """Settings of the rank-one parts of recurrent weights."""

    max_parts: int = whole(
        10, "rank-one parts at most, those of the largest singular values", minimum=1, maximum=100
    )
    max_trials: int = whole(64, TRIALS, minimum=2)

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)
