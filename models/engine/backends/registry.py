"""The list of engine back ends, and the choice of the one that runs given networks."""

from __future__ import annotations

import warnings

import torch

from tasks_lib.errors import check_choice

from .base import BackEnd, NetworkKind
from .fused import Fused
from .plain import Plain
from .stepped import Stepped
from .triton_launch import products

PLAIN = Plain()
# The fastest first. What none of the others can do, plain torch does.
_BACK_ENDS: list[BackEnd] = [Fused(), Stepped(), PLAIN]
try:
    from .compiled import Compiled
except ImportError as error:  # no numba for this Python or this machine
    WITHOUT_COMPILED: str | None = f"Numba cannot be imported ({error})"
else:
    WITHOUT_COMPILED = None
    _BACK_ENDS.insert(0, Compiled())

BACK_ENDS = {back_end.name: back_end for back_end in _BACK_ENDS}
# Back ends that turned out not to fit networks of a size on a device, in a precision of products.
_UNFIT: set[tuple[str, str, int, str]] = set()
_TOLD: set[str] = set()


def get(name: str) -> BackEnd:
    """Return the back end of a name."""
    return BACK_ENDS[check_choice("back_end", name, tuple(BACK_ENDS))]


def choose(kind: NetworkKind, name: str | None = None) -> BackEnd:
    """Return the back end that runs networks of a kind.

    Parameters
    ----------
    kind : NetworkKind
    name : str, optional
        The one to take; the fastest of those for the device by default.

    Notes
    -----
    Where it lacks something that the networks need, plain torch takes its place, and a warning
    says so, once in a process for each thing that is lacking.
    """
    if name is not None:
        candidates = [get(name)]
    else:
        candidates = [b for b in _BACK_ENDS if b is not PLAIN and b.is_for(kind.device)]
        if WITHOUT_COMPILED is not None and kind.device.type == "cpu":
            _tell(f"The compiled loops are not there: {WITHOUT_COMPILED}")
    lacks = []
    for back_end in candidates:
        if _unfit(back_end, kind) in _UNFIT:
            continue
        lack = back_end.supports(kind)
        if lack is None:
            return back_end
        lacks.append(f"The back end {back_end.name!r} {lack}")
    for lack in lacks[-1:]:  # of the one that can do most
        _tell(lack)
    return PLAIN


def remember_unfit(back_end: BackEnd, kind: NetworkKind, error: Exception) -> None:
    """Remember that a back end does not fit networks of this size on this device; warn once."""
    if _unfit(back_end, kind) not in _UNFIT:
        _UNFIT.add(_unfit(back_end, kind))
        _tell(str(error))


def for_draws(device: torch.device) -> BackEnd:
    """Return the back end that draws noise fastest on a device."""
    return next(b for b in _BACK_ENDS if b.is_for(device))


def _unfit(back_end: BackEnd, kind: NetworkKind) -> tuple[str, str, int, str]:
    return back_end.name, str(kind.device), kind.n_units, products().precision


def _tell(problem: str) -> None:
    """Warn, once in a process, that networks run in plain torch, and why."""
    if problem not in _TOLD:
        _TOLD.add(problem)
        warnings.warn(f"{problem}. Networks run in plain torch, more slowly.", stacklevel=4)
