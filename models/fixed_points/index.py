"""The index sum of a complete set of fixed points, from the dynamics at infinity."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..formulas.activations import ACTIVATIONS, Activation
from ..network.rnn_numpy import RNNNumpy
from .batch import search_all
from .region_enumeration import index_of_regions
from .search import Problem, is_bounded
from .settings import SearchSettings

LEAD = 3  # inputs that agree on an index sum, beyond those for another
MAX_DISSENT = 1
ENUMERATED_UNITS = 12  # have so few linear regions that all are solved
# Far out the states of all inputs look alike: a small budget does.
FAR = SearchSettings(n_starts=64, max_starts=384, coverage=0.97)


def activation_at_infinity(activation: Activation) -> Activation | None:
    """Return f by its slopes at -infinity and +infinity, which must be declared.

    None where they are not, and where f does not rise at +infinity: such an f is none of ours.
    """
    if activation.half_slopes is not None and activation.name in ACTIVATIONS:
        return activation
    slopes = activation.slopes_at_infinity
    if slopes is None or slopes[1] <= 0.0:
        return None
    if slopes[0] == 0.0:
        return Activation("relu", {"slope": slopes[1]})
    return Activation("leaky_relu", {"slope": slopes[1], "leak_slope": slopes[0]})


def network_at_infinity(rnn: RNNNumpy) -> RNNNumpy | None:
    """Return the network at infinity: f replaced by its slopes at -infinity and +infinity.

    It has one input for each unit, which drives that unit alone. None where the slopes of f are
    not known.
    """
    far = activation_at_infinity(rnn.activation)
    if far is None:
        return None
    return RNNNumpy(
        W_rec=rnn.W_rec,
        W_inp=np.eye(rnn.N),
        W_out=np.ones((1, rnn.N)),
        activation=far,
        equation_type=rnn.equation_type,
    )


def expected_index(rnn: RNNNumpy) -> int | None:
    """Return the sum of (-1)^(unstable modes) over all fixed points; None if it is not known.

    +1 where the dynamics point inward at infinity (`is_bounded`; Poincare-Hopf). Otherwise the sum
    is the degree of F on a large sphere, which the slopes of f at +-infinity decide. Where f
    declares none it is not known: no f is taken for another. Where it does, the sum is the same at
    every input (as long as no fixed point lies at infinity), and counted where that is easy: at
    large random inputs, with f replaced by those slopes. It is believed where a sum leads by three
    and one input at most dissents. Inputs come as pairs d, -d: where points lie at infinity these
    two differ. That is evidence and no proof.
    """
    if is_bounded(rnn):
        return 1
    far = network_at_infinity(rnn)
    if far is None:
        return None
    rng = np.random.default_rng(0)
    if rnn.N <= ENUMERATED_UNITS:
        return index_of_regions(far, rng)
    votes: Counter[int | None] = Counter()  # None: a search that was not complete
    while True:
        direction = rng.standard_normal(rnn.N)
        for u in (direction, -direction):
            problem = Problem(far, u, rng.standard_normal((rnn.N, 256)), FAR)
            found = search_all([problem], n_threads=1)[0]
            complete = found.status == "complete" and found.index_sum is not None
            votes[found.index_sum if complete else 0 if not len(found) else None] += 1
            value, most = votes.most_common(1)[0]
            dissent = votes.total() - most
            if dissent > MAX_DISSENT:
                return None
            if most - dissent >= LEAD:
                return value
