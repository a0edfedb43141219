"""The index sum of a complete set: what the dynamics at infinity say about fixed points."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .batch import search_all
from .search import Problem, is_bounded
from .settings import SearchSettings

Float = NDArray[np.float64]
LEAD = 3  # inputs that agree on an index sum, beyond those for another
MAX_DISSENT = 1
# Far out the states of all inputs look alike: a small budget does.
FAR = SearchSettings(n_starts=64, max_starts=384, coverage=0.97)


def network_at_infinity(rnn: RNNNumpy) -> RNNNumpy:
    """Return what an unbounded network looks like from far away: f by its slopes at +-infinity.

    It has one input for each unit, which drives that unit alone.
    """
    args = rnn.activation.args
    name = "leaky_relu" if rnn.activation.name == "leaky_relu" else "relu"
    far = args if name == rnn.activation.name else {"slope": args.get("slope", 1.0)}
    return RNNNumpy(
        W_rec=rnn.W_rec,
        W_inp=np.eye(rnn.N),
        W_out=np.ones((1, rnn.N)),
        activation={"name": name, **far},
        equation_type=rnn.equation_type,
    )


def expected_index(rnn: RNNNumpy) -> int | None:
    """Return the sum of (-1)^(unstable modes) over all fixed points; None if it is not known.

    +1 where the dynamics point inward at infinity: f bounded, or gamma > 0 (Poincare-Hopf). For
    other f the sum is the degree of F on a large sphere, and the same at every input (as long as
    no fixed point lies at infinity). It is counted where that is easy: at large random inputs,
    with f replaced by its slopes at +-infinity, and believed where a sum leads by three and one
    input at most dissents. They come as pairs d, -d: where points lie at infinity these two
    differ. That is evidence and no proof.
    """
    if is_bounded(rnn):
        return 1
    far = network_at_infinity(rnn)
    rng = np.random.default_rng(0)
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
