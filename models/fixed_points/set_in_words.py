"""What a set of fixed points says about itself, in words."""

from __future__ import annotations

import numpy as np

from tasks_lib.sizes import counted

from .searched_set import SearchedSet

PROBABLY = "probably complete"  # status of a set that only dependent starts speak for
GROWING = "growing"  # status of a set where the network's states grow without bound
KINDS = {
    "stable": "stable",
    "half-stable": "half-stable, as states leave it in some directions",
    "unstable": "unstable, as states leave it in all directions",
    "marginal": "marginal, as some states neither leave nor approach it: the end of a continuum",
    "unknown": "of unknown stability",
}


def in_words(found: SearchedSet) -> str:
    """Return what a search says about completeness, kinks of f, and where steps of dt matter."""
    text = _completeness(found) + _kinks(found)
    n = int(found.differs_in_steps.sum())
    if not n:
        return text
    said = "1 point has" if n == 1 else f"{n} points have"
    return (
        f"{text}; {said} another stability, or other unstable modes, in "
        f"steps of dt = {found.alpha:.3g} tau, in which the network runs: see map_stability"
    )


def _completeness(found: SearchedSet) -> str:
    said = f"{found.status}: "
    if found.status == GROWING:
        said += (
            "states grow without bound at this input, so that the search did not start from "
            "them and its coverage says nothing: "
        )
    return said + _found(found)


def _found(found: SearchedSet) -> str:
    if not len(found):
        if found.enumerated:
            return "there is no point: every region that can hold one was solved"
        text = f"no point found from {counted(found.n_starts, 'start')}"
        text += "" if found.status == GROWING else ": widen the starts or use approx"
        if found.index_expected:
            text += f"; there is one, as the index sum should be {found.index_expected:+d}"
        return text
    text = counted(len(found), "point")
    if found.enumerated:
        return f"{text}; every region that can hold points was solved, there are no others"
    text += "; " if np.isnan(found.coverage) else f", coverage {found.coverage:.3f}; "
    if not np.isnan(found.unseen) and found.status != "incomplete":
        text += f"at most {found.unseen:.1%} of further hits would be of others; "
    elif np.isnan(found.unseen) and found.status == "complete":
        text += "as starts from trials and points alone say; "
    return text + _index(found)


def _index(found: SearchedSet) -> str:
    if found.mode == "approx":
        return "slow points have no index sum"
    if found.index_sum is None:
        unknown = np.isnan(found.index)
        n, n_kinks = int(unknown.sum()), int((unknown & (found.kink != "")).sum())
        kind = "bounded" if found.is_bounded else "unbounded"
        if n == n_kinks:
            return f"no index sum (dynamics are {kind}), as {n} on kinks of f have no known index"
        return (
            f"no index sum (dynamics are {kind}), as {n} are degenerate and without a "
            "certificate: at a fold, or part of a continuum"
        )
    total = f"index sum {found.index_sum:+d}"
    wanted = found.index_expected
    if wanted is None:
        return f"{total}, which says nothing here: that of a complete set is not known"
    if found.is_bounded:
        where, missing = "complete sets have where dynamics are bounded", "points are missing"
    else:
        where, missing = "was counted at strong inputs", "points are probably missing"
    if found.index_sum == wanted:
        return f"{total}, as {where}"
    return f"{total} instead of the {wanted:+d} that {where}: {missing}"


def _kinks(found: SearchedSet) -> str:
    """Return what points on kinks of f are; empty without any."""
    text = ""
    for kind, words in KINDS.items():
        these = found.kink == kind
        if not these.any():
            continue
        text += f"; {counted(int(these.sum()), 'point')} on a kink of f: {words}"
        if kind == "stable" and (found.stability[these] != "stable").any():
            text += " in all directions followed, unproven"
        worst = float(found.growth[these].max())
        text += "" if np.isnan(worst) else f" (growth {worst:.2g} per tau at worst)"
    return text
