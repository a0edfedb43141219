"""Activation functions by name: f, f' and f'' for NumPy arrays and torch tensors, and bounds."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from tasks_lib.errors import CannotImport, ParameterError, check_float, kind_and_text
from tasks_lib.imports import OWN_PACKAGES, import_attribute, loaded_attribute

from .declaration import ActivationFunction, Array, array_module
from .declared import check_declaration
from .functions import FUNCTIONS

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "ActivationFunction",
    "Array",
    "array_module",
    "get_activation",
]

ACTIVATIONS = tuple(FUNCTIONS)
LONGEST_NAME = 128  # of "package.module:attribute", as of a penalty's
# Functions from elsewhere that this process has imported, and the arguments they were checked with.
_IMPORTED: dict[str, ActivationFunction] = {}
_CHECKED: set[tuple[Any, ...]] = set()


def _function(name: str) -> ActivationFunction:
    """Return the function of a name that has been checked."""
    known = FUNCTIONS.get(name) or _IMPORTED.get(name)
    return known or _find(name)


def _find(name: Any) -> ActivationFunction:
    """Return the function of any name, importing it where it is not one of ours.

    Raises
    ------
    ParameterError
        Where there is none, or none that may be imported here (`tasks_lib.imports`).
    """
    if not isinstance(name, str) or ":" not in name:
        if not isinstance(name, str) or name not in FUNCTIONS:
            raise ParameterError(
                "activation",
                name,
                "does not exist",
                f'use one of {", ".join(map(repr, ACTIVATIONS))}, or "package.module:attribute"',
            )
        return FUNCTIONS[name]
    if len(name) > LONGEST_NAME:
        raise ParameterError(
            "activation", name, f"is longer than {LONGEST_NAME} characters", "shorten its path"
        )
    if name.partition(".")[0] in OWN_PACKAGES:
        own = loaded_attribute(name)
        for function in FUNCTIONS.values():
            if function is own:
                return function
    try:
        function = import_attribute("activation", name)
    except ParameterError:
        raise
    except Exception as error:  # someone else's module may fail to import in any way
        raise CannotImport(
            "activation",
            name,
            f"cannot be imported ({kind_and_text(error)})",
            "install its package where this runs; check the spelling",
        ) from error
    if not isinstance(function, ActivationFunction):
        raise ParameterError(
            "activation",
            name,
            "is not an activation function",
            "make it a models.ActivationFunction",
        )
    _IMPORTED[name] = function
    return function


def defined_name(name: str) -> str:
    """Return the name of a function that does not depend on the path by which it is named.

    The short name of one of ours; else ``"package.module:attribute"`` where its formulas are
    defined, if it stands there: an object does not know its own name.

    Raises
    ------
    ParameterError
        Where there is none, or none that may be imported here.
    """
    function = _find(name)
    for short, own in FUNCTIONS.items():
        if own is function:
            return short
    for formula in (function.f, function.derivative, function.second):
        module = str(getattr(formula, "__module__", ""))
        for attribute, value in vars(sys.modules.get(module, object)).items():
            if value is function:
                return f"{module}:{attribute}"
    return name


@dataclass(frozen=True)
class Activation:
    """An activation function with its arguments.

    Attributes
    ----------
    name : str
        One of ``relu``, ``leaky_relu``, ``tanh``, ``sigmoid``, ``softplus``, ``gelu``, or
        ``"package.module:attribute"`` of an `ActivationFunction` that lives elsewhere.
    args : dict
        Every argument of the function, defaults filled in.

    Notes
    -----
    relu: max(0, slope x). leaky_relu: slope x above 0, leak_slope x below. tanh: tanh(slope x).
    sigmoid: 1 / (1 + exp(-slope (x - shift))). softplus: log(1 + exp(beta slope x)) / beta.
    gelu: x Phi(alpha x), Phi the cumulative normal. Where a piecewise-linear function has a kink
    (x = 0) the derivative is the left one.
    """

    name: str
    args: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the name and the arguments."""
        function = _find(self.name)
        unknown = sorted(set(self.args) - set(function.defaults))
        if unknown:
            raise ParameterError(
                f"activation_args.{unknown[0]}",
                self.args[unknown[0]],
                f"{self.name} has no such argument",
                f"use {', '.join(function.defaults)}" if function.defaults else "leave it out",
            )
        full = {
            key: check_float(
                f"activation_args.{key}",
                self.args.get(key, default),
                exclusive_minimum=None if key in function.signed else 0.0,
            )
            for key, default in function.defaults.items()
        }
        object.__setattr__(self, "args", full)
        # The name says which function it is, but not which module of that name was imported.
        checked = (id(function), *full.values())
        if self.name not in FUNCTIONS and checked not in _CHECKED:
            check_declaration(self.name, function, full)
            _CHECKED.add(checked)

    def f(self, x: Array) -> Array:
        """Return f(x), elementwise."""
        return _function(self.name).f(x, **self.args)

    def df(self, x: Array) -> Array:
        """Return f'(x), elementwise."""
        return _function(self.name).derivative(x, **self.args)

    def d2f(self, x: Array) -> Array:
        """Return f''(x), elementwise; 0 everywhere for a piecewise-linear function."""
        return _function(self.name).second(x, **self.args)

    def _declared(self, name: str) -> Any:
        return _function(self.name).value(name, self.args)

    @property
    def largest_slope(self) -> float:
        """Lipschitz constant of f, an upper bound of |f'| (to rounding); infinite if unknown."""
        bound = self._declared("lipschitz")
        return inf if bound is None else float(bound)

    def curvature_bound(self, lower: Array, upper: Array) -> Array:
        """Return an upper bound of |f''| over intervals, elementwise.

        Parameters
        ----------
        lower, upper : array
            Ends of the intervals, of one shape; infinite ends are allowed.

        Returns
        -------
        array
            The maximum of |f''| between the ends, taken at the ends and at the local maxima that
            lie between, and made larger by more than its rounding error; for a function that
            declares no such maxima, the bound that it declares for all x. For a piecewise-linear
            function 0. Infinite where the interval holds a kink, and where no bound is known.
        """
        bends, everywhere = self._declared("bends"), self._declared("curvature")
        if self.is_piecewise_linear:
            bound = np.zeros(np.broadcast_shapes(np.shape(lower), np.shape(upper)))
        elif bends is not None:
            bound = self._bound_from_bends(lower, upper, bends)
        else:
            known = inf if everywhere is None else (1 + 1e-12) * everywhere
            bound = np.full(np.broadcast_shapes(np.shape(lower), np.shape(upper)), known)
        for kink in self.kinks:
            bound = np.where((lower <= kink) & (upper >= kink), inf, bound)
        return bound

    def _bound_from_bends(self, lower: Array, upper: Array, bends: tuple[float, ...]) -> Array:
        heights = np.abs(self.d2f(np.array(bends)))
        far = 100.0 * max(abs(bend) + 1.0 / self.largest_slope for bend in bends)
        ends = (np.clip(lower, -far, far), np.clip(upper, -far, far))
        bound = np.maximum(np.abs(self.d2f(ends[0])), np.abs(self.d2f(ends[1])))
        for bend, height in zip(bends, heights, strict=True):
            bound = np.where((lower <= bend) & (upper >= bend), np.maximum(bound, height), bound)
        return bound + 1e-12 * (bound + heights.max())

    @property
    def kinks(self) -> tuple[float, ...]:
        """Where f' jumps."""
        return tuple(self._declared("kinks"))

    @property
    def is_smooth(self) -> bool:
        """Whether f' has no jumps."""
        return not self.kinks

    @property
    def is_piecewise_linear(self) -> bool:
        """Whether f is linear between its kinks."""
        return _function(self.name).piecewise_linear

    @property
    def has_bounds(self) -> bool:
        """Whether f' and, away from kinks, f'' have known bounds: what proofs need."""
        known = self._declared("bends") is not None or self._declared("curvature") is not None
        return self.largest_slope < inf and (known or self.is_piecewise_linear)

    @property
    def half_slopes(self) -> tuple[float, float] | None:
        """Slopes below and above 0 of an f that is linear on either side; else None.

        With f(0) = 0, and rising above 0: what fixed points are solved exactly for.
        """
        slopes = self.slopes_at_infinity
        if not self.is_piecewise_linear or self.kinks != (0.0,) or slopes is None:
            return None
        if slopes[1] <= 0.0:
            return None
        return slopes if float(self.f(np.zeros(1))[0]) == 0.0 else None

    @property
    def is_bounded(self) -> bool:
        """Whether f is bounded, so that the dynamics point inward at infinity."""
        return _function(self.name).bounded

    @property
    def slopes_at_infinity(self) -> tuple[float, float] | None:
        """Limits of f(x) / x at -infinity and +infinity; None where they are not known."""
        slopes = (0.0, 0.0) if self.is_bounded else self._declared("slopes_at_infinity")
        return None if slopes is None else (float(slopes[0]), float(slopes[1]))

    @property
    def offset(self) -> float:
        """How far f shifts its argument before anything else."""
        return float(self._declared("offset"))


def get_activation(activation: str | dict[str, Any] | Activation, **args: float) -> Activation:
    """Make an activation from its name, or from ``{"name": ..., argument: value}``."""
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, dict):
        if "name" not in activation:
            raise ParameterError(
                "activation", activation, "has no name", 'write {"name": "relu", "slope": 1.0}'
            )
        rest = {key: value for key, value in activation.items() if key != "name"}
        return Activation(activation["name"], {**rest, **args})
    return Activation(activation, dict(args))
