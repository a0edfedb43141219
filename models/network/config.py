"""What a network is before its training: a frozen parameter set that checks itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from tasks_lib.errors import (
    ParameterError,
    check_bool,
    check_choice,
    check_float,
    check_int,
)
from tasks_lib.sizes import check_bytes

from ..formulas.activations import Activation
from ..formulas.equations import Equation

CONSTRAINT_METHODS = ("clamp", "reflect")
BIAS_STARTS = ("zero", "uniform")
# Arrays of the size of all weights that a training holds, and as many again for each gradient:
# weights, constraints, moments of Adam, the best so far, copies.
WEIGHT_ARRAYS = 10


def assign(instance: Any, **values: Any) -> None:
    """Set fields of a frozen dataclass while it is made."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def _checked_units(n_units: Any) -> int:
    """Return a number of units whose W_rec a machine may hold, in a training in float32."""
    n = check_int("n_units", n_units, 1)
    needed = 4 * 2 * WEIGHT_ARRAYS * n * n
    check_bytes("n_units", n, needed, "to train one network", "use fewer units")
    return n


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
    train_x_init : bool
        Whether the initial state is trained; it starts at zero.
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
    train_x_init: bool = False
    constraint_method: str = "clamp"

    def __post_init__(self) -> None:
        """Check and normalise every field."""
        activation = Activation(self.activation, dict(self.activation_args))
        dale = check_bool("dale", self.dale)
        assign(
            self,
            n_units=_checked_units(self.n_units),
            activation_args=activation.args,
            noise_inside=check_bool("noise_inside", self.noise_inside),
            train_x_init=check_bool("train_x_init", self.train_x_init),
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
            assign(self, **{name: dale if value is None else check_bool(name, value)})
        equation = self.equation
        for name in ("tau", "dt", "gamma", "sigma_rec", "sigma_inp", "sigma_out"):
            assign(self, **{name: getattr(equation, name)})
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
