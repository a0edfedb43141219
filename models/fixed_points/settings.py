"""What a search is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError, check_choice, check_float, check_int

Float = NDArray[np.float64]
MODES = ("exact", "approx")
MOST_STARTS = 10**7  # states of a network that are held at a time


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a search.

    Attributes
    ----------
    mode : {"exact", "approx"}
        Roots of F, or local minima of |F|^2 / 2.
    n_starts : int
        Starts of each round; the first round is drawn from states of the network.
    max_starts : int
        Budget of starts over all rounds.
    noise : float
        Spread added to starts, in units of the states' own spread (root mean square per unit);
        every second start of the first round has up to ten times as much.
    diff_cutoff : float
        Points nearer than this are one.
    fun_tol : float, optional
        Largest |F| of a point (exact, 1e-10 by default), largest |F|^2 / 2 (approx, 1e-5).
    eig_cutoff : float
        Real parts within +-eig_cutoff count as zero.
    coverage : float
        Good-Turing coverage that counts as complete; also, 3 / (1 - coverage) hits in a row must
        be of known points.
    seed : int
        Seed of the starts.
    """

    mode: str = "exact"
    n_starts: int = 128
    max_starts: int = 16384
    noise: float = 0.1
    diff_cutoff: float = 1e-5
    fun_tol: float | None = None
    eig_cutoff: float = 1e-6
    coverage: float = 0.99
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        put = object.__setattr__
        check_choice("mode", self.mode, MODES)
        put(self, "n_starts", check_int("n_starts", self.n_starts, 1, MOST_STARTS))
        most = check_int("max_starts", self.max_starts, self.n_starts, MOST_STARTS)
        put(self, "max_starts", most)
        put(self, "noise", check_float("noise", self.noise, minimum=0.0))
        put(self, "coverage", check_float("coverage", self.coverage, minimum=0.0, maximum=1.0))
        put(self, "seed", check_int("seed", self.seed, minimum=0))
        if self.fun_tol is None:
            put(self, "fun_tol", 1e-10 if self.mode == "exact" else 1e-5)
        for name in ("fun_tol", "diff_cutoff", "eig_cutoff"):
            put(self, name, check_float(name, getattr(self, name), exclusive_minimum=0.0))

    @property
    def tolerance(self) -> float:
        """``fun_tol``, or its default."""
        assert self.fun_tol is not None
        return self.fun_tol

    def check_reachable(self, states: Float) -> None:
        """Refuse tolerances that float64 cannot tell from zero near ``states`` (N, M)."""
        scale = float(np.linalg.norm(states, axis=0).max() + 1.0)
        floor = 8.0 * float(np.finfo(float).eps) * scale
        least = {
            "fun_tol": floor if self.mode == "exact" else 0.5 * floor**2,
            "diff_cutoff": floor,
            "eig_cutoff": floor,
        }
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise ParameterError(
                    name,
                    getattr(self, name),
                    f"is below what float64 can tell here (about {lowest:.1g})",
                    "choose a larger tolerance",
                )


def search_settings(seed: int = 0, **fields: object) -> SearchSettings:
    """Make settings from keywords; an unknown one is named in the error."""
    defaults = SearchSettings(seed=seed)
    for name, value in fields.items():
        if name not in SearchSettings.__dataclass_fields__:
            known = ", ".join(SearchSettings.__dataclass_fields__)
            raise ParameterError(name, value, "is no setting of a search", f"use {known}")
    return replace(defaults, **{"fun_tol": None, **fields})  # type: ignore[arg-type]
