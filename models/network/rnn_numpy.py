"""One network in float64 NumPy: simulation, right-hand side, Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tasks_lib.errors import ParameterError

from ..formulas.equations import Equation
from .connectivity import Float, as_weights, sizes_in_words
from .noise import Noise


def initial_state(x_init: ArrayLike | None, x0: ArrayLike | None) -> ArrayLike | None:
    """Return the initial state that was given under one of its names."""
    if x_init is not None and x0 is not None:
        raise ParameterError("x0", "given", "x_init is given too", "give one of the two")
    return x0 if x_init is None else x_init


class RNNNumpy:
    """A continuous-time recurrent network, for analysis.

    Parameters
    ----------
    W_rec : array (N, N)
        Recurrent weights, row = receiving unit.
    W_inp : array (N, n_inputs)
        Input weights.
    W_out : array (n_outputs, N)
        Readout weights.
    b_rec : array (N,), optional
        Bias of each unit; zeros by default.
    x_init : array (N,), optional
        Initial state; zeros by default. ``x0`` is another name for it.
    seed : int, optional
        Seed of the noise.
    activation, equation_type, tau, dt, gamma, sigma_rec, sigma_inp, sigma_out, noise_inside
        See `models.formulas.equations.Equation`.

    Raises
    ------
    ParameterError
        Where shapes disagree, weights are not finite or a parameter is out of range.
    """

    def __init__(
        self,
        *,
        W_rec: ArrayLike,
        W_inp: ArrayLike,
        W_out: ArrayLike,
        b_rec: ArrayLike | None = None,
        x_init: ArrayLike | None = None,
        x0: ArrayLike | None = None,
        activation: Any = "relu",
        seed: int | None = None,
        **equation: Any,
    ) -> None:
        self.equation = Equation(activation=activation, **equation)
        self.W_inp = as_weights("W_inp", W_inp, (None, None))
        self.N, self.n_inputs = self.W_inp.shape
        self.W_rec = as_weights("W_rec", W_rec, (self.N, self.N))
        self.W_out = as_weights("W_out", W_out, (None, self.N))
        self.n_outputs = self.W_out.shape[0]
        zeros = np.zeros(self.N)
        self.b_rec = as_weights("b_rec", zeros if b_rec is None else b_rec, (self.N,))
        x_init = initial_state(x_init, x0)
        self.x_init = as_weights("x_init", zeros if x_init is None else x_init, (self.N,))
        self.rng = np.random.default_rng(seed)

    def __repr__(self) -> str:
        """Return what the network is, in a few lines."""
        sizes = sizes_in_words(self.n_units, self.n_inputs, self.n_outputs)
        return f"RNNNumpy({sizes}; {self.equation.in_brief()})"

    @property
    def activation(self) -> Any:
        """The activation function, with ``f`` and ``df``."""
        return self.equation.activation

    @property
    def equation_type(self) -> str:
        """Form of the equation, "s" or "h"."""
        return self.equation.equation_type

    @property
    def n_units(self) -> int:
        """Number of units N."""
        return self.N

    @property
    def alpha(self) -> float:
        """Euler step in units of the time constant."""
        return self.equation.alpha

    @property
    def gamma(self) -> float:
        """Coefficient of the cubic damping."""
        return self.equation.gamma

    def check_input(self, u: ArrayLike, ndims: tuple[int, ...]) -> Float:
        """Return inputs (n_inputs, ...) in float64, after checking shape and values."""
        array = np.asarray(u, dtype=np.float64)
        if array.ndim not in ndims or array.shape[0] != self.n_inputs:
            raise ParameterError(
                "u.shape",
                array.shape,
                f"this network takes {self.n_inputs} input channels first",
                f"pass an array of shape ({self.n_inputs}, ...)",
            )
        if not np.isfinite(array).all():
            raise ParameterError("u", "non-finite", "has NaN or infinite entries", "pass finite u")
        return array

    def drive(self, u: ArrayLike) -> Float:
        """Return W_inp u + b_rec, (N,) + the trailing shape of ``u``."""
        array = np.asarray(u, dtype=np.float64)
        flat = array.reshape(self.n_inputs, -1)
        return (self.W_inp @ flat + self.b_rec[:, None]).reshape(self.N, *array.shape[1:])

    def rhs(self, x: ArrayLike, u: ArrayLike) -> Float:
        """Return the noise-free right-hand side F(x; u), in units of state per tau.

        Parameters
        ----------
        x : array (N,) or (N, P)
            One state, or P of them.
        u : array (n_inputs,) or (n_inputs, P)
            One constant input for all states, or one for each.
        """
        return self.flow(u)(np.asarray(x, dtype=np.float64))

    def flow(self, u: ArrayLike) -> Callable[[Float], Float]:
        """Return the function x -> F(x; u) of `rhs`, for many states one after the other.

        Inputs are checked, and their drive is computed, once and not for each state.
        """
        drive = self.drive(self.check_input(u, (1, 2)))
        W_rec, field = self.W_rec, self.equation.field

        def flow(x: Float) -> Float:
            added = drive[:, None] if x.ndim == 2 and drive.ndim == 1 else drive
            return field(x, lambda v: W_rec @ v + added)[0]

        return flow

    def jacobian(self, x: ArrayLike, u: ArrayLike) -> Float:
        """Return the Jacobian dF/dx: (N, N) at one state, (P, N, N) at states (N, P).

        Form s: -I + diag(f'(W_rec x + W_inp u + b)) W_rec - 3 gamma diag(x^2).
        Form h: -I + W_rec diag(f'(x)) - 3 gamma diag(x^2).
        """
        states = np.asarray(x, dtype=np.float64)
        single = states.ndim == 1
        columns = states[:, None] if single else states
        drive = self.drive(self.check_input(u, (1, 2)))
        if drive.ndim == 1:
            drive = drive[:, None]
        _, argument = self.equation.field(columns, lambda v: self.W_rec @ v + drive)
        gain = self.activation.df(argument).T  # (P, N)
        if self.equation_type == "s":
            result = gain[:, :, None] * self.W_rec
        else:
            result = self.W_rec * gain[:, None, :]
        units = np.arange(self.N)
        result[:, units, units] += np.transpose(self.equation.leak(columns))
        return result[0] if single else result

    def rhs_at(self, points: Float, u: ArrayLike) -> Float:
        """Return F (P, N) at points that are rows (P, N), as all analyses hold them; see `rhs`."""
        return self.rhs(points.T, u).T

    def jacobian_at(self, points: Float, u: ArrayLike) -> Float:
        """Return the Jacobians (P, N, N) at points that are rows (P, N); see `jacobian`."""
        return self.jacobian(points.T, u)

    def readout_at(self, points: Float) -> Float:
        """Return the noise-free outputs (P, n_outputs) at points that are rows (P, N)."""
        return self.readout(points.T).T

    def readout(self, x: ArrayLike) -> Float:
        """Return the noise-free outputs at states ``x`` (N, ...): (n_outputs, ...)."""
        rates = self.equation.rates(np.asarray(x, dtype=np.float64))
        return np.asarray(np.tensordot(self.W_out, rates, axes=1), dtype=np.float64)

    def run(
        self, u: ArrayLike, x_init: ArrayLike | None = None, noise: bool | Noise = False
    ) -> tuple[Float, Float]:
        """Simulate trials.

        Parameters
        ----------
        u : array (n_inputs, T, B) or (n_inputs, T)
            Inputs of B trials, or of one.
        x_init : array (N,) or (N, B), optional
            Initial states; the network's own by default.
        noise : bool or Noise
            Whether to draw the network's noise from its generator, or the draws to use.

        Returns
        -------
        states : array (N, T, B) or (N, T)
            States before each update; column 0 is the initial state.
        outputs : array (n_outputs, T, B) or (n_outputs, T)
            Readout of those states.
        """
        inputs = self.check_input(u, (2, 3))
        single = inputs.ndim == 2
        if single:
            inputs = inputs[:, :, None]
        n_steps, n_trials = inputs.shape[1:]
        eq = self.equation

        def scaled(part: str, sigma: float, shape: tuple[int, ...]) -> Float | None:
            if not (noise and sigma):
                return None
            drawn = noise.part(part, shape) if isinstance(noise, Noise) else None
            if drawn is None:
                drawn = self.rng.standard_normal(shape)
            return eq.noise_scale(sigma) * drawn

        unit_shape = (self.N, n_steps, n_trials)
        xi_inp = scaled("inp", eq.sigma_inp, inputs.shape)
        xi_rec = scaled("rec", eq.sigma_rec, unit_shape)
        drive = self.drive(inputs if xi_inp is None else inputs + xi_inp)
        drive = np.ascontiguousarray(np.moveaxis(drive, 1, 0))  # (T, N, B)
        start = self.x_init if x_init is None else np.asarray(x_init, dtype=np.float64)
        states: Float = np.empty((n_steps, self.N, n_trials))
        states[0] = start[:, None] if start.ndim == 1 else start
        for t in range(n_steps - 1):

            def affine(v: Float, driven: Float = drive[t]) -> Float:
                return self.W_rec @ v + driven

            field, _ = eq.field(states[t], affine, None if xi_rec is None else xi_rec[:, t])
            states[t + 1] = states[t] + eq.alpha * field
        states = np.moveaxis(states, 0, 1)
        rates = eq.rates(states)
        xi_out = scaled("out", eq.sigma_out, unit_shape)
        noisy = rates if xi_out is None else rates + xi_out
        outputs: Float = np.asarray(np.tensordot(self.W_out, noisy, axes=1), dtype=np.float64)
        return (states[..., 0], outputs[..., 0]) if single else (states, outputs)
