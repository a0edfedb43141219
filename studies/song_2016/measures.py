"""Measures of networks with and without Dale's law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import models
import pipeline as p
from pipeline.tables.performance import VALIDATION_SEED, fetch_network

from .selectivity import d_prime, mean_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Key = Mapping[str, Any]


def noisy_accuracy(key: Key) -> float | None:
    """Return the share of right choices, of trials that have one, with the network's noise."""
    return (p.Validation & key & {"validation_name": "noisy"}).fetch1("accuracy")


def obeys_dale(key: Key) -> bool:
    """Return whether each unit excites or inhibits, and there are both."""
    return bool((p.Population & key).fetch1("obeys_dale"))


def excitatory_share(key: Key) -> float:
    """Return the share of units whose weights to others are not negative."""
    rnn, _ = fetch_network(dict(key))
    return float((rnn.W_rec >= 0).all(axis=0).mean())


def _selective(key: Key) -> tuple[Any, Any]:
    """Return W_rec, and the selectivity of units for the choice at its time, with noise."""
    rnn, task = fetch_network(dict(key))
    trials = models.get_trials(rnn, task, noise=True, n_repeats=2, seed=VALIDATION_SEED)
    return rnn.W_rec, d_prime(trials.rates.isel(time=-1).values, trials.choice.values)


def excitation_within_over_across(key: Key) -> float | None:
    """Return the mean excitatory weight to units of the same choice over that to the other."""
    W_rec, selectivity = _selective(key)
    found = mean_weights(W_rec, selectivity, (W_rec >= 0).all(axis=0))
    return None if found is None or found[1] == 0 else found[0] / found[1]


def inhibition_across_over_within(key: Key) -> float | None:
    """Return the mean inhibitory weight to units of the other choice over that to the same."""
    W_rec, selectivity = _selective(key)
    found = mean_weights(W_rec, selectivity, (W_rec <= 0).all(axis=0))
    return None if found is None or found[0] == 0 else found[1] / found[0]


def plot(networks: Mapping[str, Sequence[Key]]) -> Figure | None:
    """Draw the accuracies of all networks, and one network's weights by the choice of units."""
    from .figure import draw

    accuracies = {
        label: [a for key in keys if (a := noisy_accuracy(key)) is not None]
        for label, keys in networks.items()
    }
    keys = networks["dale_context"]
    return draw(accuracies, *_selective(keys[0])) if keys else None
