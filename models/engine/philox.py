"""Standard normal random numbers as a function of their position: seed, step, trial and unit.

A draw is named by the network's key, the number of the simulation, what it disturbs, the step, the
trial and the unit. So it is the same whatever the companions of a network, the threads, the device
and the order of computation, and a simulation can be done again without having kept its noise.

Words come from Philox4x32 (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405) with seven
rounds, which passes BigCrush; normals from pairs of them by Box and Muller (1958).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

ROUNDS = 7
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
PARTS = {"inp": 0, "rec": 1, "out": 2}  # what is disturbed: input channels, units, readout
WORD = 0xFFFFFFFF


class Draws(NamedTuple):
    """Which standard normals there are to be: what names them, network by network.

    Attributes
    ----------
    shape : (T, B, channels)
    keys : sequence of (int, int), or Tensor (K, 2) of int64
        The networks', from `network_key`.
    simulation : int, or Tensor () of int64
        Number of the simulation, from 0.
    part : {"inp", "rec", "out"}
        What they disturb.
    """

    shape: tuple[int, int, int]
    keys: Sequence[tuple[int, int]] | Tensor
    simulation: int | Tensor
    part: str


def network_key(seed_sequence: np.random.SeedSequence) -> tuple[int, int]:
    """Return the two words that name a network's noise."""
    low, high = seed_sequence.generate_state(2, np.uint32)
    return int(low), int(high)


def words(counters: list[Tensor], key: tuple[Any, Any]) -> list[Tensor]:
    """Return four words for each counter of four words, all int64 tensors of one shape.

    The words of the key are numbers, or tensors that broadcast with the counters.
    """
    c0, c1, c2, c3 = counters
    k0, k1 = key
    for _ in range(ROUNDS):
        # A product of two words fills 64 bits; wrapping into the sign keeps every bit.
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            ((p1 >> 32) & WORD) ^ c1 ^ k0,
            p1 & WORD,
            ((p0 >> 32) & WORD) ^ c3 ^ k1,
            p0 & WORD,
        )
        k0, k1 = (k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD
    return [c0, c1, c2, c3]


def _box_muller(a: Tensor, b: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return two normals for each pair of words."""
    uniform = ((a >> 1).to(dtype) + 0.5) * 2.0**-31
    radius = torch.sqrt(-2.0 * torch.log(uniform))
    signed = torch.where(b > WORD >> 1, b - (WORD + 1), b)
    angle = signed.to(dtype) * (pi * 2.0**-31)
    return radius * torch.cos(angle), radius * torch.sin(angle)


def normals(
    shape: tuple[int, int, int],
    keys: Sequence[tuple[int, int]] | Tensor,
    simulation: int | Tensor,
    part: str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    first_step: int = 0,
    first_trial: int = 0,
) -> Tensor:
    """Return the draws (K, T, B, channels) of K networks in one simulation.

    Parameters
    ----------
    shape : (T, B, channels)
    keys : sequence of (int, int), or Tensor (K, 2) of int64
        The networks', from `network_key`.
    simulation : int, or Tensor () of int64
        Number of the simulation, from 0.
    part : {"inp", "rec", "out"}
        What they disturb.
    first_step, first_trial : int
        Numbers of the first of the T steps and of the B trials.
    """
    n_steps, n_trials, n_channels = shape
    # Words come in fours: those of four steps in a row.
    start = first_step // 4
    fours = torch.arange(start, -(-(first_step + n_steps) // 4), device=device, dtype=torch.int64)
    place = torch.arange(n_trials * n_channels, device=device, dtype=torch.int64)
    place = place + first_trial * n_channels
    zeros = torch.zeros((len(keys), len(fours), len(place)), device=device, dtype=torch.int64)
    counters = [
        zeros + place,
        zeros + fours[:, None],
        zeros + (simulation & WORD),
        zeros + (PARTS[part] << 24) + (simulation >> 32),
    ]
    if not isinstance(keys, Tensor):
        keys = torch.tensor(list(keys), device=device, dtype=torch.int64)
    key = keys[:, :, None, None]
    w = words(counters, (key[:, 0], key[:, 1]))
    four = torch.stack([*_box_muller(w[0], w[1], dtype), *_box_muller(w[2], w[3], dtype)], dim=2)
    skipped = first_step - 4 * start
    by_step = four.view(len(keys), 4 * len(fours), n_trials, n_channels)
    return by_step[:, skipped : skipped + n_steps]
