"""Settings of latent circuits."""

from __future__ import annotations

from dataclasses import dataclass

from ..parameters import check_parameters, choice, documented, flag, number, whole
from ..populations.settings import NO_SPREAD

CHANNELS = ("own_node", "free")


@documented
@dataclass(frozen=True)
class CircuitSettings:
    """Settings of the latent circuit of a network."""

    n_nodes: int = whole(8, "nodes of the circuit", minimum=1, maximum=100)
    inputs: str = choice(
        "own_node",
        CHANNELS,
        "which nodes an input reaches",
        details="own_node: input i reaches node i alone, as in the paper. free: any.",
    )
    outputs: str = choice(
        "own_node",
        CHANNELS,
        "which nodes an output is read from",
        details="own_node: the last nodes are read, each by one output, as in the paper. "
        "free: any.",
    )
    nonnegative: bool = flag(
        True, "whether input and output weights are at least 0", details="As in the paper."
    )
    n_starts: int = whole(10, "fits from random starts", minimum=1, maximum=1000)
    n_iterations: int = whole(
        1500,
        "optimiser steps of each",
        minimum=1,
        maximum=1_000_000,
        least=10,
        because="is too few to fit anything",
    )
    learning_rate: float = number(
        0.05, "of Adam, at first", exclusive_minimum=0.0, details="It falls to 0 as a cosine.",
        least=1e-8, most=10.0, because="is a step that leads nowhere",
    )  # fmt: skip
    weight_decay: float = number(
        1e-3,
        "added to the gradient",
        minimum=0.0,
        details="As in the paper's code. It decides between weights that the activity does not "
        "tell apart.",
    )
    output_weight: float = number(
        1.0,
        "weight of the error of outputs in the loss, that of activity being 1",
        exclusive_minimum=0.0,
        least=1e-6,
        most=1e6,
        because="leaves the outputs out, or the activity",
    )
    component_share: float = number(
        0.999,
        "share of the activity in the principal components that are fitted",
        exclusive_minimum=0.0,
        maximum=1.0,
        least=0.01,
        because="is hardly any activity",
        details="Of the sum of squares; there are at least as many as nodes.",
    )
    max_trials: int = whole(
        64, "trials at most, spread over the task's batch; of large networks fewer", minimum=4
    )
    held_out: float = number(
        0.25,
        "share of the conditions that the fit does not see",
        exclusive_minimum=0.0,
        exclusive_maximum=1.0,
    )
    min_r2: float = number(
        0.8, "smallest R^2 of held-out activity and of outputs at which a circuit fits",
        maximum=1.0, least=0.0, because="is worse than the mean, which every circuit reaches",
    )  # fmt: skip
    good_within: float = number(
        0.02,
        "starts are good whose loss is larger by at most this than the best",
        minimum=0.0,
        details="The mean activity in place of a circuit has the loss 1, and the mean outputs "
        "output_weight.",
    )
    silent_below: float = number(
        1e-3, "largest |rate| of a silent unit, over all trials and steps", minimum=0.0
    )
    strength: float = number(
        0.5,
        "size of a perturbation",
        exclusive_minimum=0.0,
        least=1e-6,
        because="is too small to change anything",
        details="Of a connection: in root mean squares of w_rec. Of a node: in root mean squares "
        "of its activity.",
    )
    at: float = number(
        0.5, "when nodes are perturbed, as share of a trial", minimum=0.0, maximum=1.0
    )
    n_controls: int = whole(
        5, "random directions that perturbations are compared with", minimum=0, maximum=1000,
        least=2, or_zero=True, because=NO_SPREAD,
    )  # fmt: skip
    perturbed_trials: int = whole(16, "trials at most of the perturbations", minimum=2)

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)
