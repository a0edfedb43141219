"""Settings of a search for fixed points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError, check_int

from ..parameters import assign, check_parameters, choice, documented, number, whole

Float = NDArray[np.float64]
MODES = ("exact", "approx")
MOST_STARTS = 10**7  # states of a network that are held at a time


@documented
@dataclass(frozen=True)
class SearchSettings:
    """Settings of a search."""

    mode: str = choice("exact", MODES, "roots of F, or local minima of |F|^2 / 2")
    n_starts: int = whole(
        128,
        "starts of each round; the first from the network's own trajectories",
        minimum=1,
        maximum=MOST_STARTS,
    )
    max_starts: int = whole(
        16384, "budget of starts over all rounds", minimum=1, maximum=MOST_STARTS
    )
    noise: float = number(
        0.1,
        "spread added to starts",
        minimum=0.0,
        unit="units of the states' own spread",
        details="That is their root mean square per unit. Every second start of the first round "
        "has up to ten times as much.",
    )
    coverage: float = number(
        0.99,
        "Good-Turing coverage that counts as complete",
        minimum=0.0,
        maximum=1.0,
        details="Also, 3 / (1 - coverage) hits in a row must be of known points.",
    )
    fun_tol: float | None = number(
        None,
        "exact: largest |F|; approx: largest |F|^2 / 2",
        exclusive_minimum=0.0,
        derived="1e-10 (exact), 1e-5 (approx)",
    )
    diff_cutoff: float = number(1e-5, "points closer than this are one", exclusive_minimum=0.0)
    eig_cutoff: float = number(
        1e-6, "largest real part within +- this: marginal", exclusive_minimum=0.0
    )
    seed: int = whole(0, "seed of the starts", minimum=0, maximum=None)

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)
        check_int("max_starts", self.max_starts, minimum=self.n_starts)
        if self.fun_tol is None:
            assign(self, fun_tol=1e-10 if self.mode == "exact" else 1e-5)

    @property
    def tolerance(self) -> float:
        """``fun_tol``, or its default."""
        assert self.fun_tol is not None
        return self.fun_tol

    def reachable(self, states: Float) -> tuple[SearchSettings, Float]:
        """Return what float64 can tell from zero: settings, and the states (N, M) to start from.

        Near states x, |F| is rounded by about eps |x|. States where the tolerances are below that
        are left out; if they are so at all states, the tolerances are raised to what can be told.

        Raises
        ------
        ParameterError
            For a tolerance that cannot be told from zero near any state at all.
        """
        size = np.linalg.norm(states, axis=0) + 1.0
        eps = 8.0 * float(np.finfo(float).eps)

        def floors(scale: float) -> dict[str, float]:
            floor = eps * scale
            least = floor if self.mode == "exact" else 0.5 * floor**2
            return {"fun_tol": least, "diff_cutoff": floor, "eig_cutoff": floor}

        for name, lowest in floors(1.0).items():
            if getattr(self, name) < lowest:
                raise ParameterError(
                    name,
                    getattr(self, name),
                    f"is below what float64 can tell (about {lowest:.1g})",
                    "choose a larger tolerance",
                )
        near = np.ones(len(size), dtype=bool)
        for name, lowest in floors(1.0).items():
            power = 2 if name == "fun_tol" and self.mode != "exact" else 1
            near &= getattr(self, name) >= lowest * size**power
        if near.any():
            return self, states if near.all() else states[:, near]
        raised = {n: max(getattr(self, n), low) for n, low in floors(float(size.max())).items()}
        return replace(self, **raised), states


def search_settings(seed: int = 0, **fields: object) -> SearchSettings:
    """Make settings from keywords; an unknown one is named in the error."""
    defaults = SearchSettings(seed=seed)
    for name, value in fields.items():
        if name not in SearchSettings.__dataclass_fields__:
            known = ", ".join(SearchSettings.__dataclass_fields__)
            raise ParameterError(name, value, "is no setting of a search", f"use {known}")
    return replace(defaults, **{"fun_tol": None, **fields})  # type: ignore[arg-type]
