"""The network's right-hand side, written once for training, simulation and fixed points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from tasks_lib.errors import ParameterError, are_right, collecting, raise_all

from ..parameters import assign, check_parameters, choice, documented, flag, number
from .activations import Activation, Array, get_activation

EQUATION_TYPES = ("s", "h")
SIGMAS = ("sigma_rec", "sigma_inp", "sigma_out")
NOISE = "The noise of one step is sqrt(2 / alpha) times this times a standard normal."


def check_together(settings: Any, errors: list[ParameterError]) -> None:
    """Append what is wrong with fields of an equation that are right each by itself."""
    if are_right(errors, "dt", "tau") and settings.dt > settings.tau:
        errors.append(
            ParameterError(
                "dt", settings.dt, f"is larger than tau = {settings.tau}", "choose dt <= tau"
            )
        )
    named = ("noise_inside", "equation_type")
    if are_right(errors, *named) and settings.noise_inside and settings.equation_type != "s":
        errors.append(
            ParameterError(
                "noise_inside", True, "exists for equation_type 's' only", "set it to false"
            )
        )


@documented
@dataclass(frozen=True)
class Equation:
    """The equation of a network: all of its dynamics but the weights.

    Attributes
    ----------
    activation : Activation
        The activation function f (a name or ``{"name": ..., ...}`` is accepted).
    """

    activation: Activation
    equation_type: str = choice(
        "s",
        EQUATION_TYPES,
        "state is a rate (s) or a potential (h)",
        details="s: x' = -x + f(W_rec x + W_inp u + b). h: x' = -x + W_rec f(x) + W_inp u + b.",
    )
    tau: float = number(10.0, "time constant", exclusive_minimum=0.0, unit="the unit of dt")
    dt: float = number(
        1.0,
        "Euler step",
        exclusive_minimum=0.0,
        unit="the unit of tau",
        details="At most tau; alpha = dt / tau.",
    )
    gamma: float = number(
        0.0, "cubic damping coefficient", minimum=0.0, details="Of the term -gamma x^3."
    )
    sigma_rec: float = number(0.0, "recurrent noise level", minimum=0.0, details=NOISE)
    sigma_inp: float = number(0.0, "input noise level", minimum=0.0, details=NOISE)
    sigma_out: float = number(
        0.0,
        "readout noise level",
        minimum=0.0,
        details=NOISE + " No state averages it: it grows as dt^(-1/2).",
    )
    noise_inside: bool = flag(
        False,
        "form s: recurrent noise inside the activation",
        details="It is added to the argument of f instead of to the rate.",
    )

    def __post_init__(self) -> None:
        """Check every field."""
        errors: list[ParameterError] = []
        with collecting(errors):
            assign(self, activation=get_activation(self.activation))
        with collecting(errors):
            check_parameters(self)
        check_together(self, errors)
        raise_all(errors)

    def in_brief(self) -> str:
        """Return the activation, the form, tau, dt, and what else is not at its default."""
        always = ("equation_type", "tau", "dt")
        shown: dict[str, Any] = {"activation": self.activation.name}
        if self.activation != get_activation(self.activation.name):
            shown["activation"] = self.activation
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if field.name in always or value != field.default:
                shown[field.name] = value
        return ", ".join(f"{name}={value!r}" for name, value in shown.items())

    @property
    def alpha(self) -> float:
        """Euler step in units of the time constant, dt / tau."""
        return self.dt / self.tau

    def noise_scale(self, sigma: float) -> float:
        """Return the standard deviation of one step's noise, sqrt(2 / alpha) sigma."""
        return float((2.0 / self.alpha) ** 0.5 * sigma)

    def rates(self, x: Array) -> Array:
        """Return the firing rates at state ``x``: x in form s, f(x) in form h."""
        return x if self.equation_type == "s" else self.activation.f(x)

    def field(
        self, x: Array, affine: Callable[[Array], Array], noise: Any = None
    ) -> tuple[Array, Array]:
        """Return the right-hand side F and the argument that f was taken at.

        Parameters
        ----------
        x : array
            States, in any layout.
        affine : callable
            v -> W_rec v + W_inp u + b_rec, in the layout of ``x``.
        noise : array, optional
            Recurrent noise of this step, shaped like ``x``.

        Returns
        -------
        field : array
            F(x; u), shaped like ``x``. One Euler step is x + alpha F.
        argument : array
            W_rec x + W_inp u + b_rec in form s, ``x`` itself in form h.
        """
        if self.equation_type == "s":
            argument = affine(x)
            if noise is not None and self.noise_inside:
                argument = argument + noise
            total = self.activation.f(argument) - x
        else:
            argument = x
            total = affine(self.activation.f(x)) - x
        if noise is not None and not self.noise_inside:
            total = total + noise
        if self.gamma:
            total = total - self.gamma * x**3
        return total, argument

    def leak(self, x: Array) -> Array | float:
        """Return dF/dx without the recurrent part, -1 - 3 gamma x^2."""
        return -1.0 - 3.0 * self.gamma * x * x if self.gamma else -1.0
