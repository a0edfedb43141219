"""What a network and a training are: frozen parameter sets that check themselves."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import exp
from typing import Any

from tasks_lib.errors import ParameterError, check_bool, check_choice, check_float, check_int

from . import penalties as penalty_registry
from .activations import Activation
from .equations import Equation

CONSTRAINT_METHODS = ("clamp", "reflect")
BIAS_STARTS = ("zero", "uniform")


def _set(instance: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(instance, name, value)


@dataclass(frozen=True)
class NetworkConfig:
    """Parameters of a network before training.

    Attributes
    ----------
    n_units : int
        Number of units N.
    activation : str
        Activation function: relu, leaky_relu, tanh, sigmoid, softplus or gelu.
    activation_args : dict
        Its arguments; defaults are filled in.
    equation_type : {"s", "h"}
        Whether the state is a rate ("s") or a potential ("h").
    tau, dt : float
        Time constant and Euler step, same unit, dt <= tau.
    gamma : float
        Coefficient of the cubic damping -gamma x^3.
    dale : bool
        Dale's law: every unit is either excitatory or inhibitory.
    exc_to_inh_ratio : float
        Excitatory units for each inhibitory one, R.
    density : float
        Fraction of recurrent connections that exist, in (0, 1]; the rest stays zero.
    self_connections : bool
        Whether units may project to themselves.
    spectral_radius : float
        Largest modulus of W_rec's eigenvalues at initialisation.
    nonnegative_inp, nonnegative_out : bool, optional
        Whether input and output weights stay non-negative; by default as ``dale``.
    sigma_rec, sigma_inp, sigma_out : float
        Noise levels of the units, the input channels and the readout.
    noise_inside : bool
        Form s only: recurrent noise inside f.
    bias_min, bias_max : float
        Range of b_rec. Equal: the bias is that constant and is not trained.
    bias_init : {"zero", "uniform"}
        Where a trained bias starts (zero is moved to the nearest value of the range).
    constraint_method : {"clamp", "reflect"}
        How constraints are kept: set violators to zero after each step, or train weights
        whose modulus is the effective one.
    """

    n_units: int = 100
    activation: str = "relu"
    activation_args: dict[str, float] = field(default_factory=dict)
    equation_type: str = "s"
    tau: float = 10.0
    dt: float = 1.0
    gamma: float = 0.0
    dale: bool = False
    exc_to_inh_ratio: float = 4.0
    density: float = 1.0
    self_connections: bool = False
    spectral_radius: float = 1.2
    nonnegative_inp: bool | None = None
    nonnegative_out: bool | None = None
    sigma_rec: float = 0.0
    sigma_inp: float = 0.0
    sigma_out: float = 0.0
    noise_inside: bool = False
    bias_min: float = 0.0
    bias_max: float = 0.0
    bias_init: str = "zero"
    constraint_method: str = "clamp"

    def __post_init__(self) -> None:
        """Check and normalise every field."""
        activation = Activation(self.activation, dict(self.activation_args))
        dale = check_bool("dale", self.dale)
        _set(
            self,
            n_units=check_int("n_units", self.n_units, minimum=1),
            activation_args=activation.args,
            noise_inside=check_bool("noise_inside", self.noise_inside),
            dale=dale,
            exc_to_inh_ratio=check_float(
                "exc_to_inh_ratio", self.exc_to_inh_ratio, exclusive_minimum=0.0
            ),
            density=check_float("density", self.density, exclusive_minimum=0.0, maximum=1.0),
            self_connections=check_bool("self_connections", self.self_connections),
            spectral_radius=check_float(
                "spectral_radius", self.spectral_radius, exclusive_minimum=0.0
            ),
            bias_min=check_float("bias_min", self.bias_min),
            bias_max=check_float("bias_max", self.bias_max),
        )
        for name in ("nonnegative_inp", "nonnegative_out"):
            value = getattr(self, name)
            _set(self, **{name: dale if value is None else check_bool(name, value)})
        equation = self.equation
        for name in ("tau", "dt", "gamma", "sigma_rec", "sigma_inp", "sigma_out"):
            _set(self, **{name: getattr(equation, name)})
        if self.bias_min > self.bias_max:
            raise ParameterError(
                "bias_min",
                self.bias_min,
                f"is larger than bias_max = {self.bias_max}",
                "swap the two",
            )
        check_choice("bias_init", self.bias_init, BIAS_STARTS)
        check_choice("constraint_method", self.constraint_method, CONSTRAINT_METHODS)
        if self.dale and self.n_excitatory == 0:
            raise ParameterError(
                "n_units",
                self.n_units,
                "leaves no excitatory unit",
                "raise it, or exc_to_inh_ratio",
            )

    @property
    def equation(self) -> Equation:
        """The network's equation."""
        return Equation(
            activation=Activation(self.activation, dict(self.activation_args)),
            equation_type=self.equation_type,
            tau=self.tau,
            dt=self.dt,
            gamma=self.gamma,
            sigma_rec=self.sigma_rec,
            sigma_inp=self.sigma_inp,
            sigma_out=self.sigma_out,
            noise_inside=self.noise_inside,
        )

    @property
    def n_excitatory(self) -> int:
        """Number of excitatory units, floor(N R / (R + 1)); all units without Dale's law."""
        if not self.dale:
            return self.n_units
        ratio = self.exc_to_inh_ratio
        return int(self.n_units * ratio / (ratio + 1) + 1e-9)  # 100 * 4 / 5 may round below 80

    @property
    def trains_bias(self) -> bool:
        """Whether b_rec is trained."""
        return self.bias_max > self.bias_min

    def to_dict(self) -> dict[str, Any]:
        """Return every field, JSON-able."""
        return asdict(self)


@dataclass(frozen=True)
class TrainingConfig:
    """Parameters of a training.

    Attributes
    ----------
    max_iter : int
        Number of optimiser steps.
    lr : float, optional
        Learning rate of Adam; by default 1e-3 (100 / N)^(1/3).
    weight_decay : float
        Weight decay of Adam (added to the gradient).
    max_grad_norm : float
        The gradient of each network is scaled down to this norm.
    same_batch : bool
        Train on one fixed batch, or draw a fresh one each iteration.
    task_safe_gradients : bool
        Remove from the penalties' gradient its component against the task's gradient.
    anneal_noise : bool
        Raise the noise level along a sigmoid of the iteration, 1 / (1 + exp(-(i - M/3) / (M/12))).
    penalties : dict
        Penalty name -> {"weight": lambda, "args": {...}}.
    """

    max_iter: int = 3000
    lr: float | None = None
    weight_decay: float = 1e-6
    max_grad_norm: float = 50.0
    same_batch: bool = True
    task_safe_gradients: bool = False
    anneal_noise: bool = False
    penalties: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check and normalise every field."""
        _set(
            self,
            max_iter=check_int("max_iter", self.max_iter, minimum=1),
            lr=None if self.lr is None else check_float("lr", self.lr, exclusive_minimum=0.0),
            weight_decay=check_float("weight_decay", self.weight_decay, minimum=0.0),
            max_grad_norm=check_float("max_grad_norm", self.max_grad_norm, exclusive_minimum=0.0),
            same_batch=check_bool("same_batch", self.same_batch),
            task_safe_gradients=check_bool("task_safe_gradients", self.task_safe_gradients),
            anneal_noise=check_bool("anneal_noise", self.anneal_noise),
            penalties={name: _checked_penalty(name, p) for name, p in self.penalties.items()},
        )

    def learning_rate(self, n_units: int) -> float:
        """Return the learning rate for a network of ``n_units``."""
        return self.lr if self.lr is not None else 1e-3 * (100.0 / n_units) ** (1.0 / 3.0)

    def noise_level(self, iteration: int) -> float:
        """Return the factor on the noise at an iteration."""
        if not self.anneal_noise:
            return 1.0
        m = self.max_iter
        return 1.0 / (1.0 + exp(-(iteration - m / 3) / (m / 12)))

    def to_dict(self) -> dict[str, Any]:
        """Return every field, JSON-able."""
        return asdict(self)


def _checked_penalty(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(spec) - {"weight", "args"})
    if unknown or "weight" not in spec:
        raise ParameterError(
            f"penalties.{name}", spec, "is not a penalty", 'write {"weight": 0.1, "args": {}}'
        )
    args = dict(spec.get("args") or {})
    penalty_registry.check(name, args)
    return {
        "weight": check_float(f"penalties.{name}.weight", spec["weight"], minimum=0.0),
        "args": args,
    }
