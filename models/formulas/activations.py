"""Activation functions: f, f' and f'' side by side, for NumPy arrays and torch tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import atanh, inf, pi, sqrt
from typing import Any

import numpy as np
import torch
from scipy import special

from tasks_lib.errors import ParameterError, check_choice, check_float

Array = Any  # np.ndarray or torch.Tensor: every function returns the kind that it is given


def _is_torch(x: Array) -> bool:
    return isinstance(x, torch.Tensor)


def _positive(x: Array) -> Array:
    """Return the indicator of x > 0 in the type of ``x`` (0 at 0, as autograd has it)."""
    return (x > 0).to(x.dtype) if _is_torch(x) else (x > 0).astype(x.dtype)


def _logistic(x: Array) -> Array:
    return torch.sigmoid(x) if _is_torch(x) else special.expit(x)


def _exp(x: Array) -> Array:
    return torch.exp(x) if _is_torch(x) else np.exp(x)


def _zero(x: Array, **args: float) -> Array:
    return 0.0 * x


def _relu(x: Array, slope: float) -> Array:
    rectified = torch.relu(x) if _is_torch(x) else np.maximum(x, 0)
    return rectified if slope == 1 else slope * rectified


def _relu_derivative(x: Array, slope: float) -> Array:
    return _positive(x) if slope == 1 else slope * _positive(x)


def _leaky_relu(x: Array, slope: float, leak_slope: float) -> Array:
    return x * _leaky_relu_derivative(x, slope, leak_slope)


def _leaky_relu_derivative(x: Array, slope: float, leak_slope: float) -> Array:
    return leak_slope + (slope - leak_slope) * _positive(x)


def _tanh(x: Array, slope: float) -> Array:
    return torch.tanh(slope * x) if _is_torch(x) else np.tanh(slope * x)


def _tanh_derivative(x: Array, slope: float) -> Array:
    value = _tanh(x, slope)
    return slope * (1 - value * value)


def _tanh_second(x: Array, slope: float) -> Array:
    return -2 * slope * _tanh(x, slope) * _tanh_derivative(x, slope)


def _sigmoid(x: Array, slope: float, shift: float) -> Array:
    return _logistic(slope * (x - shift))


def _sigmoid_derivative(x: Array, slope: float, shift: float) -> Array:
    value = _sigmoid(x, slope, shift)
    return slope * value * (1 - value)


def _sigmoid_second(x: Array, slope: float, shift: float) -> Array:
    return slope * (1 - 2 * _sigmoid(x, slope, shift)) * _sigmoid_derivative(x, slope, shift)


def _softplus(x: Array, beta: float, slope: float) -> Array:
    z = (beta * slope) * x
    if _is_torch(x):  # torch's own softplus turns linear above a threshold, which bends f'
        return torch.logaddexp(z, torch.zeros((), dtype=z.dtype, device=z.device)) / beta
    return np.logaddexp(z, 0) / beta


def _softplus_derivative(x: Array, beta: float, slope: float) -> Array:
    return slope * _logistic((beta * slope) * x)


def _softplus_second(x: Array, beta: float, slope: float) -> Array:
    return slope * _sigmoid_derivative(x, beta * slope, 0.0)


def _normal_cdf(z: Array) -> Array:
    return torch.special.ndtr(z) if _is_torch(z) else special.ndtr(z)


def _normal_density(z: Array) -> Array:
    return _exp(-0.5 * z * z) / sqrt(2 * pi)


def _gelu(x: Array, alpha: float) -> Array:
    return x * _normal_cdf(alpha * x)


def _gelu_derivative(x: Array, alpha: float) -> Array:
    z = alpha * x
    return _normal_cdf(z) + z * _normal_density(z)


def _gelu_second(x: Array, alpha: float) -> Array:
    z = alpha * x
    return alpha * (2 - z * z) * _normal_density(z)


@dataclass(frozen=True)
class _Definition:
    f: Callable[..., Array]
    derivative: Callable[..., Array]
    second: Callable[..., Array]
    defaults: dict[str, float]
    smooth: bool
    bounded: bool
    steepest: Callable[..., tuple[float, ...]]  # where |f'| is largest
    bends: Callable[..., tuple[float, ...]]  # local maxima of |f''|, or the kink


_TANH_BEND = atanh(sqrt(1 / 3))  # where tanh (1 - tanh^2) is largest


_DEFINITIONS = {
    "relu": _Definition(
        _relu,
        _relu_derivative,
        _zero,
        {"slope": 1.0},
        smooth=False,
        bounded=False,
        steepest=lambda slope: (inf,),
        bends=lambda slope: (0.0,),
    ),
    "leaky_relu": _Definition(
        _leaky_relu,
        _leaky_relu_derivative,
        _zero,
        {"slope": 1.0, "leak_slope": 0.01},
        smooth=False,
        bounded=False,
        steepest=lambda slope, leak_slope: (-inf, inf),
        bends=lambda slope, leak_slope: (0.0,),
    ),
    "tanh": _Definition(
        _tanh,
        _tanh_derivative,
        _tanh_second,
        {"slope": 1.0},
        smooth=True,
        bounded=True,
        steepest=lambda slope: (0.0,),
        bends=lambda slope: (-_TANH_BEND / slope, _TANH_BEND / slope),
    ),
    "sigmoid": _Definition(
        _sigmoid,
        _sigmoid_derivative,
        _sigmoid_second,
        {"slope": 1.0, "shift": 0.0},
        smooth=True,
        bounded=True,
        steepest=lambda slope, shift: (shift,),
        bends=lambda slope, shift: (
            shift - 2 * _TANH_BEND / slope,
            shift + 2 * _TANH_BEND / slope,
        ),
    ),
    "softplus": _Definition(
        _softplus,
        _softplus_derivative,
        _softplus_second,
        {"beta": 1.0, "slope": 1.0},
        smooth=True,
        bounded=False,
        steepest=lambda beta, slope: (inf,),
        bends=lambda beta, slope: (0.0,),
    ),
    "gelu": _Definition(
        _gelu,
        _gelu_derivative,
        _gelu_second,
        {"alpha": 1.0},
        smooth=True,
        bounded=False,
        steepest=lambda alpha: (sqrt(2) / alpha,),
        bends=lambda alpha: (-2 / alpha, 0.0, 2 / alpha),
    ),
}
ACTIVATIONS = tuple(_DEFINITIONS)


@dataclass(frozen=True)
class Activation:
    """An activation function with its arguments.

    Attributes
    ----------
    name : str
        One of ``relu``, ``leaky_relu``, ``tanh``, ``sigmoid``, ``softplus``, ``gelu``.
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
        check_choice("activation", self.name, ACTIVATIONS)
        defaults = _DEFINITIONS[self.name].defaults
        unknown = sorted(set(self.args) - set(defaults))
        if unknown:
            raise ParameterError(
                f"activation_args.{unknown[0]}",
                self.args[unknown[0]],
                f"{self.name} has no such argument",
                f"use {', '.join(defaults)}",
            )
        full = {
            key: check_float(
                f"activation_args.{key}",
                self.args.get(key, default),
                exclusive_minimum=None if key in ("shift", "leak_slope") else 0.0,
            )
            for key, default in defaults.items()
        }
        object.__setattr__(self, "args", full)

    def f(self, x: Array) -> Array:
        """Return f(x), elementwise."""
        return _DEFINITIONS[self.name].f(x, **self.args)

    def df(self, x: Array) -> Array:
        """Return f'(x), elementwise."""
        return _DEFINITIONS[self.name].derivative(x, **self.args)

    def d2f(self, x: Array) -> Array:
        """Return f''(x), elementwise; 0 everywhere for a piecewise-linear function."""
        return _DEFINITIONS[self.name].second(x, **self.args)

    @property
    def largest_slope(self) -> float:
        """Maximum of |f'|, a Lipschitz constant of f (to rounding)."""
        where = np.array(_DEFINITIONS[self.name].steepest(**self.args))
        return float(np.abs(self.df(where)).max())

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
            lie between, and made larger by more than its rounding error. For a piecewise-linear
            function 0, or infinite where the interval holds the kink.
        """
        definition = _DEFINITIONS[self.name]
        bends = definition.bends(**self.args)
        if not definition.smooth:
            return np.where((lower <= bends[0]) & (upper >= bends[0]), inf, 0.0)
        heights = np.abs(self.d2f(np.array(bends)))
        far = 100.0 * max(abs(bend) + 1.0 / self.largest_slope for bend in bends)
        ends = (np.clip(lower, -far, far), np.clip(upper, -far, far))
        bound = np.maximum(np.abs(self.d2f(ends[0])), np.abs(self.d2f(ends[1])))
        for bend, height in zip(bends, heights, strict=True):
            bound = np.where((lower <= bend) & (upper >= bend), np.maximum(bound, height), bound)
        return bound + 1e-12 * (bound + heights.max())

    @property
    def is_smooth(self) -> bool:
        """Whether f has derivatives of every order (false for piecewise-linear functions)."""
        return _DEFINITIONS[self.name].smooth

    @property
    def is_bounded(self) -> bool:
        """Whether f is bounded, so that the dynamics point inward at infinity."""
        return _DEFINITIONS[self.name].bounded


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
