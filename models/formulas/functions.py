"""The activation functions that have a short name: one entry each, formulas and properties."""

from __future__ import annotations

from importlib import import_module
from math import atanh, pi, sqrt
from types import ModuleType

import numpy as np

from .declaration import ActivationFunction, Array, array_module


def _is_torch(x: Array) -> bool:
    return array_module(x) is not np


def _special(x: Array) -> ModuleType:
    """Return the module of special functions that take ``x``."""
    # Imported where one is used: many networks have no such activation.
    return import_module("torch.special" if _is_torch(x) else "scipy.special")


def _positive(x: Array) -> Array:
    """Return the indicator of x > 0 in the type of ``x`` (0 at 0, as autograd has it)."""
    return (x > 0).to(x.dtype) if _is_torch(x) else (x > 0).astype(x.dtype)


def _logistic(x: Array) -> Array:
    return _special(x).expit(x)


def _zero(x: Array, **args: float) -> Array:
    return 0.0 * x


def _relu(x: Array, slope: float) -> Array:
    rectified = array_module(x).relu(x) if _is_torch(x) else np.maximum(x, 0)
    return rectified if slope == 1 else slope * rectified


def _relu_derivative(x: Array, slope: float) -> Array:
    return _positive(x) if slope == 1 else slope * _positive(x)


RELU = ActivationFunction(
    f=_relu,
    derivative=_relu_derivative,
    second=_zero,
    defaults={"slope": 1.0},
    slopes_at_infinity=lambda slope: (0.0, slope),
    kinks=(0.0,),
    piecewise_linear=True,
    lipschitz=lambda slope: slope,
)


def _leaky_relu(x: Array, slope: float, leak_slope: float) -> Array:
    return x * _leaky_relu_derivative(x, slope, leak_slope)


def _leaky_relu_derivative(x: Array, slope: float, leak_slope: float) -> Array:
    return leak_slope + (slope - leak_slope) * _positive(x)


LEAKY_RELU = ActivationFunction(
    f=_leaky_relu,
    derivative=_leaky_relu_derivative,
    second=_zero,
    defaults={"slope": 1.0, "leak_slope": 0.01},
    signed=("leak_slope",),
    slopes_at_infinity=lambda slope, leak_slope: (leak_slope, slope),
    kinks=(0.0,),
    piecewise_linear=True,
    # The slope above 0 as it is computed.
    lipschitz=lambda slope, leak_slope: max(
        abs(leak_slope), abs(leak_slope + (slope - leak_slope))
    ),
)


def _tanh(x: Array, slope: float) -> Array:
    return array_module(x).tanh(slope * x)


def _tanh_derivative(x: Array, slope: float) -> Array:
    value = _tanh(x, slope)
    return slope * (1 - value * value)


def _tanh_second(x: Array, slope: float) -> Array:
    return -2 * slope * _tanh(x, slope) * _tanh_derivative(x, slope)


_TANH_BEND = atanh(sqrt(1 / 3))  # where tanh (1 - tanh^2) is largest

TANH = ActivationFunction(
    f=_tanh,
    derivative=_tanh_derivative,
    second=_tanh_second,
    defaults={"slope": 1.0},
    bounded=True,
    lipschitz=lambda slope: slope,
    bends=lambda slope: (-_TANH_BEND / slope, _TANH_BEND / slope),
)


def _sigmoid(x: Array, slope: float, shift: float) -> Array:
    return _logistic(slope * (x - shift))


def _sigmoid_derivative(x: Array, slope: float, shift: float) -> Array:
    value = _sigmoid(x, slope, shift)
    return slope * value * (1 - value)


def _sigmoid_second(x: Array, slope: float, shift: float) -> Array:
    return slope * (1 - 2 * _sigmoid(x, slope, shift)) * _sigmoid_derivative(x, slope, shift)


SIGMOID = ActivationFunction(
    f=_sigmoid,
    derivative=_sigmoid_derivative,
    second=_sigmoid_second,
    defaults={"slope": 1.0, "shift": 0.0},
    signed=("shift",),
    bounded=True,
    lipschitz=lambda slope, shift: slope / 4,
    bends=lambda slope, shift: (shift - 2 * _TANH_BEND / slope, shift + 2 * _TANH_BEND / slope),
    offset=lambda slope, shift: abs(shift),
)


def _softplus(x: Array, beta: float, slope: float) -> Array:
    z = (beta * slope) * x
    if _is_torch(x):  # torch's own softplus turns linear above a threshold, which bends f'
        return array_module(z).logaddexp(z, z.new_zeros(())) / beta
    return np.logaddexp(z, 0) / beta


def _softplus_derivative(x: Array, beta: float, slope: float) -> Array:
    return slope * _logistic((beta * slope) * x)


def _softplus_second(x: Array, beta: float, slope: float) -> Array:
    return slope * _sigmoid_derivative(x, beta * slope, 0.0)


SOFTPLUS = ActivationFunction(
    f=_softplus,
    derivative=_softplus_derivative,
    second=_softplus_second,
    defaults={"beta": 1.0, "slope": 1.0},
    slopes_at_infinity=lambda beta, slope: (0.0, slope),
    lipschitz=lambda beta, slope: slope,
    bends=(0.0,),
)


def _normal_cdf(z: Array) -> Array:
    return _special(z).ndtr(z)


def _normal_density(z: Array) -> Array:
    return array_module(z).exp(-0.5 * z * z) / sqrt(2 * pi)


def _gelu(x: Array, alpha: float) -> Array:
    return x * _normal_cdf(alpha * x)


def _gelu_derivative(x: Array, alpha: float) -> Array:
    z = alpha * x
    return _normal_cdf(z) + z * _normal_density(z)


def _gelu_second(x: Array, alpha: float) -> Array:
    z = alpha * x
    return alpha * (2 - z * z) * _normal_density(z)


GELU = ActivationFunction(
    f=_gelu,
    derivative=_gelu_derivative,
    second=_gelu_second,
    defaults={"alpha": 1.0},
    slopes_at_infinity=(0.0, 1.0),
    # f' is largest where f'' changes its sign.
    lipschitz=lambda alpha: float(_gelu_derivative(np.array([sqrt(2) / alpha]), alpha)[0]),
    bends=lambda alpha: (-2 / alpha, 0.0, 2 / alpha),
)

FUNCTIONS = {
    "relu": RELU,
    "leaky_relu": LEAKY_RELU,
    "tanh": TANH,
    "sigmoid": SIGMOID,
    "softplus": SOFTPLUS,
    "gelu": GELU,
}
