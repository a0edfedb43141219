"""The network's right-hand side, written once for training, simulation and fixed points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tasks_lib.errors import ParameterError, check_choice, check_float

from .activations import Activation, Array, get_activation

EQUATION_TYPES = ("s", "h")
SIGMAS = ("sigma_rec", "sigma_inp", "sigma_out")


@dataclass(frozen=True)
class Equation:
    """What kind of network it is: everything but its weights.

    Attributes
    ----------
    activation : Activation
        The activation function f (a name or ``{"name": ..., ...}`` is accepted).
    equation_type : {"s", "h"}
        "s": the state is a rate, x' = -x + f(W_rec x + W_inp u + b).
        "h": the state is a potential, x' = -x + W_rec f(x) + W_inp u + b.
    tau, dt : float
        Time constant and Euler step, in the same unit; alpha = dt / tau.
    gamma : float
        Coefficient of the cubic damping -gamma x^3.
    sigma_rec, sigma_inp, sigma_out : float
        Noise levels; the noise of one step is sqrt(2 / alpha) sigma times a standard normal.
    noise_inside : bool
        Form s only: add the recurrent noise to the argument of f instead of to the rate.
    """

    activation: Activation
    equation_type: str = "s"
    tau: float = 10.0
    dt: float = 1.0
    gamma: float = 0.0
    sigma_rec: float = 0.0
    sigma_inp: float = 0.0
    sigma_out: float = 0.0
    noise_inside: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        put = object.__setattr__
        put(self, "activation", get_activation(self.activation))
        check_choice("equation_type", self.equation_type, EQUATION_TYPES)
        put(self, "tau", check_float("tau", self.tau, exclusive_minimum=0.0))
        put(self, "dt", check_float("dt", self.dt, exclusive_minimum=0.0))
        if self.dt > self.tau:
            raise ParameterError(
                "dt", self.dt, f"is larger than tau = {self.tau}", "choose dt <= tau"
            )
        for name in ("gamma", *SIGMAS):
            put(self, name, check_float(name, getattr(self, name), minimum=0.0))
        if self.noise_inside and self.equation_type != "s":
            raise ParameterError(
                "noise_inside", True, "exists for equation_type 's' only", "set it to false"
            )

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
