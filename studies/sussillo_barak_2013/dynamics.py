"""Which memories saddles join, and where transitions between memories pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import models

Float = NDArray[np.float64]
Memory = tuple[int, ...]
PULSE = 10  # steps
REST = 150  # steps after the pulse, in which the state settles
BISECTIONS = 40
STRENGTHS = np.linspace(0.0, 2.0, 41)  # of pulses that are tried, of 1 in training
NEAR = 0.1  # of the distance between two memories: a transition passes a saddle


def bits(rnn: models.RNNNumpy, states: Float) -> list[Memory]:
    """Return the signs of the outputs that are read from states (N, B), of each."""
    return [tuple(column) for column in np.sign(rnn.readout(states)).astype(int).T.tolist()]


def joined_memories(rnn: models.RNNNumpy, points: models.FixedPointSet) -> list[frozenset[Memory]]:
    """Return the memories on both sides of each saddle with one unstable mode, in their order."""
    saddles = np.flatnonzero(points.n_unstable == 1)
    if not saddles.size:
        return []
    ends = models.saddle_connections(rnn, points)[:, -1]
    if ends.shape[1] != 2 * len(saddles):  # a run left for infinity: which, is not said
        return [frozenset() for _ in saddles]
    read = bits(rnn, ends)
    return [frozenset(read[2 * i : 2 * i + 2]) for i in range(len(saddles))]


def one_bit_edges(joined: list[frozenset[Memory]]) -> set[frozenset[Memory]]:
    """Return those pairs of memories, each once, that differ in one bit."""
    return {
        pair
        for pair in joined
        if len(pair) == 2 and sum(a != b for a, b in zip(*pair, strict=True)) == 1
    }


@dataclass(frozen=True)
class ThresholdRuns:
    """Runs in which the weakest pulse flips one bit of a memory, one for each bit of each memory.

    Attributes
    ----------
    runs : array (N, T, B)
    strengths : array (B,)
        Of the pulses.
    pairs : list of (memory, memory)
        Before and after.
    distances : array (B,)
        Between these two.
    """

    runs: Float
    strengths: Float
    pairs: list[tuple[Memory, Memory]]
    distances: Float


def threshold_runs(rnn: models.RNNNumpy, points: models.FixedPointSet) -> ThresholdRuns | None:
    """Find the weakest pulse that flips each bit of each memory, and run it.

    Just there the state comes to the boundary between two basins, and along it to the saddle on it.
    The weakest is the first of some strengths that leads to the memory with that bit flipped,
    bisected between it and the one before. A bit that none of them flips is left out.

    Returns
    -------
    ThresholdRuns or None
        None where the stable points are not the memories, each once, or no bit is flipped.
    """
    stable = points.points[points.n_unstable == 0]
    memories = dict(zip(bits(rnn, stable.T), stable, strict=True))
    n_bits = rnn.W_out.shape[0]
    if len(memories) != len(stable) or len(memories) != 2**n_bits:
        return None
    flips = [
        (before, tuple(-b if i == bit else b for i, b in enumerate(before)), bit)
        for before in memories
        for bit in range(n_bits)
    ]
    starts = np.stack([memories[before] for before, _, _ in flips], axis=1)
    ends = np.stack([memories[after] for _, after, _ in flips], axis=1)
    wanted = [after for _, after, _ in flips]

    def run(strengths: Float) -> Float:
        inputs = np.zeros((rnn.n_inputs, PULSE + REST, len(flips)))
        for i, (_, after, bit) in enumerate(flips):
            inputs[bit, :PULSE, i] = strengths[i] * after[bit]
        return rnn.run(inputs, x_init=starts)[0]

    def flipped(strengths: Float) -> NDArray[np.bool_]:
        read = bits(rnn, run(strengths)[:, -1])
        return np.array([a == b for a, b in zip(read, wanted, strict=True)])

    tried = np.array([flipped(np.full(len(flips), strength)) for strength in STRENGTHS])
    found = np.flatnonzero(tried.any(axis=0))
    if not found.size:
        return None
    first = tried.argmax(axis=0)
    weak: Float = STRENGTHS[np.maximum(first - 1, 0)]
    strong: Float = STRENGTHS[first]
    for _ in range(BISECTIONS):
        middle = (weak + strong) / 2
        enough = flipped(middle)
        weak, strong = np.where(enough, weak, middle), np.where(enough, middle, strong)
    return ThresholdRuns(
        runs=run(strong)[:, :, found],
        strengths=strong[found],
        pairs=[flips[i][:2] for i in found],
        distances=np.linalg.norm(starts - ends, axis=0)[found],
    )


def share_through_saddles(
    rnn: models.RNNNumpy, points: models.FixedPointSet, found: ThresholdRuns
) -> float:
    """Return the share of threshold runs that pass a saddle between their two memories.

    The saddle with one unstable mode that a run comes nearest to joins the two, and the run comes
    within a tenth of the distance between these.
    """
    saddles = points.points[points.n_unstable == 1]
    if not len(saddles):
        return 0.0
    joined = joined_memories(rnn, points)
    passed = []
    for i, pair in enumerate(found.pairs):
        run = found.runs[:, :, i].T
        distances = np.array([np.linalg.norm(run - saddle, axis=1).min() for saddle in saddles])
        nearest = int(distances.argmin())
        passed.append(
            joined[nearest] == frozenset(pair)
            and bool(distances[nearest] < NEAR * found.distances[i])
        )
    return float(np.mean(passed))
