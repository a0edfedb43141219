"""What an activation function declares: f, f', f'' and the properties that analyses rest on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeAlias, TypeVar

import numpy as np

Array = Any  # np.ndarray or torch.Tensor: every function returns the kind that it is given
T = TypeVar("T")
# A property: its value, or a function of the arguments.
Property: TypeAlias = T | Callable[..., T]


def array_module(x: Array) -> ModuleType:
    """Return the module whose functions take ``x``: ``torch`` for a tensor, else ``numpy``."""
    # Who has a tensor has imported torch; who has none is not to wait seconds for it.
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(x, getattr(torch, "Tensor", ())) else np


@dataclass(frozen=True, kw_only=True, eq=False)
class ActivationFunction:
    """The formulas and properties of an activation function.

    Attributes
    ----------
    f, derivative, second : callable
        f, f' and f'' of ``(x, **arguments)``, elementwise: for NumPy arrays and for torch tensors,
        returning the kind and precision that is given (`array_module`). At a kink f' is that of
        one side, and f'' is 0.
    defaults : mapping
        Name -> default of each argument.
    signed : tuple of str
        Arguments that may be any number; the others must be positive.
    bounded : bool
        Whether f is bounded.
    slopes_at_infinity : (float, float), optional
        Limits of f(x) / x at x -> -infinity and +infinity. Without them, and f not declared
        bounded, nothing is assumed about f far out: the index sum of fixed points is unknown.
    kinks : tuple of float
        Where f' jumps.
    piecewise_linear : bool
        Whether f is linear between its kinks.
    lipschitz : float, optional
        An upper bound of |f'|. Without it nothing is proven about fixed points.
    bends : tuple of float, optional
        Where |f''| has its local maxima, f'' being continuous and 0 at infinity: for sharp bounds.
    curvature : float, optional
        An upper bound of |f''| everywhere, where ``bends`` are not known; f' must then be
        continuous, and f'' may jump. With neither nothing is proven about fixed points.
    offset : float
        How far f shifts its argument before anything else, for the bounds of rounding errors.

    Notes
    -----
    A property is a value, or a function of the arguments: ``lipschitz=lambda slope: slope``.
    Proofs assume that f and f' are computed with an error of at most 8 eps, relative to their
    value and to their argument: write ``expm1(x)`` and not ``exp(x) - 1``.
    """

    f: Callable[..., Array]
    derivative: Callable[..., Array]
    second: Callable[..., Array]
    defaults: Mapping[str, float] = field(default_factory=dict)
    signed: tuple[str, ...] = ()
    bounded: bool = False
    slopes_at_infinity: Property[tuple[float, float]] | None = None
    kinks: Property[tuple[float, ...]] = ()
    piecewise_linear: bool = False
    lipschitz: Property[float] | None = None
    bends: Property[tuple[float, ...]] | None = None
    curvature: Property[float] | None = None
    offset: Property[float] = 0.0

    def value(self, name: str, args: Mapping[str, float]) -> Any:
        """Return a property for these arguments; None where it is not declared."""
        declared = getattr(self, name)
        return declared(**args) if callable(declared) else declared
