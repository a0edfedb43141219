"""Activation functions of a user's own, as a package outside this project would have them."""

from __future__ import annotations

from models import ActivationFunction, array_module


def _softsign(x, gain):
    return gain * x / (1 + abs(x))


softsign = ActivationFunction(
    f=_softsign,
    derivative=lambda x, gain: gain / (1 + abs(x)) ** 2,
    second=lambda x, gain: -2 * gain * array_module(x).sign(x) / (1 + abs(x)) ** 3,
    defaults={"gain": 1.0},
    bounded=True,
    lipschitz=lambda gain: gain,
    curvature=lambda gain: 2 * gain,
)


def _logistic(x):
    return 1 / (1 + array_module(x).exp(-x))


def _swish_derivative(x):
    s = _logistic(x)
    return s * (1 + x * (1 - s))


def _swish_second(x):
    s = _logistic(x)
    return s * (1 - s) * (2 + x * (1 - 2 * s))


SWISH = {
    "f": lambda x: x * _logistic(x),
    "derivative": _swish_derivative,
    "second": _swish_second,
}
swish = ActivationFunction(**SWISH, slopes_at_infinity=(0.0, 1.0), lipschitz=1.1, curvature=0.5)
undeclared = ActivationFunction(**SWISH)


def _root(x):
    xp = array_module(x)
    return xp.sign(x) * xp.expm1(xp.log1p(abs(x)) / 3)


# Grows without bound, as the cubic root does.
cubic_root = ActivationFunction(
    f=_root,
    derivative=lambda x: (1 + abs(x)) ** (-2 / 3) / 3,
    second=lambda x: -2 / 9 * array_module(x).sign(x) * (1 + abs(x)) ** (-5 / 3),
    slopes_at_infinity=(0.0, 0.0),
    lipschitz=1 / 3,
    curvature=2 / 9,
)

quintic = ActivationFunction(
    f=lambda x: x + 0.1 * x**5,
    derivative=lambda x: 1 + 0.5 * x**4,
    second=lambda x: 2 * x**3,
)


def _between(x, low, high):
    xp = array_module(x)
    return xp.where((x > low) & (x < high), xp.ones_like(x), xp.zeros_like(x))


hard_tanh = ActivationFunction(
    f=lambda x: x.clip(-1, 1),
    derivative=lambda x: _between(x, -1, 1),
    second=lambda x: 0 * x,
    bounded=True,
    kinks=(-1.0, 1.0),
    piecewise_linear=True,
    lipschitz=1.0,
)


def _halves(x, below, above):
    xp = array_module(x)
    return xp.where(x > 0, above * xp.ones_like(x), below * xp.ones_like(x))


two_slopes = ActivationFunction(
    f=lambda x, below, above: x * _halves(x, below, above),
    derivative=_halves,
    second=lambda x, below, above: 0 * x,
    defaults={"below": 0.2, "above": 1.3},
    slopes_at_infinity=lambda below, above: (below, above),
    kinks=(0.0,),
    piecewise_linear=True,
    lipschitz=lambda below, above: max(below, above),
)


def _elu(x, alpha):
    xp = array_module(x)
    return xp.where(x > 0, x, alpha * xp.expm1(x.clip(None, 0)))


def _elu_derivative(x, alpha):
    xp = array_module(x)
    return xp.where(x > 0, xp.ones_like(x), alpha * xp.exp(x.clip(None, 0)))


elu = ActivationFunction(
    f=_elu,
    derivative=_elu_derivative,
    second=lambda x, alpha: (x <= 0) * _elu_derivative(x, alpha),
    defaults={"alpha": 0.5},
    slopes_at_infinity=(0.0, 1.0),
    kinks=(0.0,),
    lipschitz=lambda alpha: max(1.0, alpha),
    curvature=lambda alpha: alpha,
)
no_function = _softsign
