"""Checks that a user's own activation function has the properties that it declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError, kind_and_text

from .declaration import ActivationFunction

Float = NDArray[np.float64]
FAR = 1e9  # where f(x) / x is compared with the slopes at infinity
REACH, SPACING = 8.0, 0.05  # of the points that are looked at; 0 is not among them


def check_declaration(name: str, function: ActivationFunction, args: Mapping[str, float]) -> None:
    """Compare formulas and properties of an activation function at some hundred points.

    Found out are slips, such as a wrong sign or a bound that is too small; it is no proof.

    Raises
    ------
    ParameterError
        Where a function fails or returns something of another kind, where f' or f'' is not the
        derivative, and where a declared property does not hold.
    """

    def refuse(problem: str, remedy: str) -> None:
        raise ParameterError("activation", name, problem, remedy)

    kinks = np.array(function.value("kinks", args), dtype=np.float64)
    x = np.asarray(np.arange(-REACH, REACH, SPACING) + 0.37 * SPACING, dtype=np.float64)
    if kinks.size:
        x = x[np.abs(x[:, None] - kinks).min(axis=1) > SPACING / 10]
    with np.errstate(all="ignore"):
        f, slope, bend = (
            _values(name, function, part, x, args) for part in ("f", "derivative", "second")
        )
        step = 1e-5
        for part, values, below, remedy in (
            ("derivative", slope, "f", "mend the derivative, or declare the kink"),
            ("second", bend, "derivative", "mend the second derivative, or declare the kink"),
        ):
            formula = getattr(function, below)
            rise = (formula(x + step, **args) - formula(x - step, **args)) / (2 * step)
            wrong = ~(np.abs(rise - values) <= 1e-4 * (1.0 + np.abs(values)))
            if wrong.any():
                at = int(wrong.argmax())
                refuse(
                    f"{part}({x[at]:.4g}) is {values[at]:.6g}, where {below} has the slope "
                    f"{rise[at]:.6g}",
                    remedy,
                )
        far = np.array([-FAR, FAR])
        wanted = (0.0, 0.0) if function.bounded else function.value("slopes_at_infinity", args)
        if wanted is not None:
            ratio = function.f(far, **args) / far
            if not (np.abs(ratio - wanted) <= 0.05 * (1.0 + np.abs(wanted))).all():
                refuse(
                    f"f(x) / x is {ratio[0]:.3g} and {ratio[1]:.3g} far out, where "
                    f"{tuple(map(float, wanted))} is declared",
                    "mend `bounded` or `slopes_at_infinity`",
                )
        lipschitz = function.value("lipschitz", args)
        if lipschitz is not None and not np.abs(slope).max() <= lipschitz * (1 + 1e-9):
            refuse(f"|f'| is {np.abs(slope).max():.6g} somewhere", "raise `lipschitz`")
        bends, curvature = (function.value(part, args) for part in ("bends", "curvature"))
        if bends is not None:
            curvature = np.abs(function.second(np.array(bends, dtype=np.float64), **args)).max()
            if not np.abs(function.second(far, **args)).max() <= 1e-6 * curvature:
                refuse("f'' is not 0 far out", "declare a `curvature` in place of `bends`")
        if curvature is not None:
            # f' between points shows a kink that f'' at points does not.
            between = np.diff(slope) / np.diff(x)
            if kinks.size:
                crosses = (x[:-1, None] < kinks) & (x[1:, None] > kinks)
                between = between[~crosses.any(axis=1)]
            largest = max(np.abs(bend).max(), np.abs(between).max())
            if not largest <= curvature * (1 + 1e-6) + 1e-9:
                refuse(
                    f"f' changes by {largest:.6g} for each unit of x somewhere, and |f''| is "
                    f"declared to be at most {curvature:.6g}",
                    "mend `bends` or `curvature`, or declare the kink",
                )
        if function.piecewise_linear:
            _check_pieces(name, function, args, x)
    if not np.isfinite(f).all():
        refuse("f is not finite", "mend f")


def _check_pieces(
    name: str, function: ActivationFunction, args: Mapping[str, float], x: Float
) -> None:
    """Check that f is a line between its kinks, and that its slopes at infinity are exact."""
    slope, kinks = function.derivative(x, **args), function.value("kinks", args)
    piece = np.searchsorted(np.sort(kinks), x)
    for number in np.unique(piece):
        inside = piece == number
        line = function.f(x[inside], **args) - slope[inside] * x[inside]
        if np.ptp(slope[inside]) or np.ptp(line) > 1e-12 * (1 + np.abs(line).max()):
            raise ParameterError(
                "activation",
                name,
                f"f is no line between its kinks, about x = {x[inside][0]:.4g}",
                "do not declare it piecewise linear, or declare all kinks",
            )
    ends = function.value("slopes_at_infinity", args)
    if ends is not None and (slope[0], slope[-1]) != (float(ends[0]), float(ends[1])):
        raise ParameterError(
            "activation",
            name,
            f"the outermost slopes are {slope[0]:.6g} and {slope[-1]:.6g}, and {tuple(ends)} are "
            "declared",
            "mend `slopes_at_infinity`",
        )


def _values(
    name: str, function: ActivationFunction, part: str, x: Float, args: Mapping[str, float]
) -> Float:
    """Return a formula's values for NumPy input, after checking that torch gives the same."""
    import torch  # seconds, for functions of a user's own alone

    formula = getattr(function, part)
    try:
        values: Any = formula(x.copy(), **args)
        tensor: Any = formula(torch.from_numpy(x.copy()).float(), **args)
        same: Any = formula(torch.from_numpy(x.copy()), **args)
    except Exception as error:  # somebody else's code may fail in any way
        raise ParameterError(
            "activation",
            name,
            f"{part} fails ({kind_and_text(error)})",
            "write it for NumPy arrays and torch tensors, with models.array_module",
        ) from error
    right = (
        isinstance(values, np.ndarray)
        and values.shape == x.shape
        and isinstance(tensor, torch.Tensor)
        and tensor.shape == x.shape
        and tensor.dtype == torch.float32
    )
    if not right or not np.allclose(same.numpy(), values, rtol=1e-9, atol=1e-12, equal_nan=True):
        raise ParameterError(
            "activation",
            name,
            f"{part} does not return what it is given, elementwise, alike for NumPy and torch",
            "write it for NumPy arrays and torch tensors of any precision, with "
            "models.array_module",
        )
    return np.asarray(values, dtype=np.float64)
