"""Settings of a network before training: a frozen, validated parameter set."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from tasks_lib.errors import ParameterError, are_right, collecting, raise_all
from tasks_lib.sizes import check_bytes

from ..formulas.activations import Activation
from ..formulas.equations import Equation, check_together
from ..parameters import (
    assign,
    check_parameters,
    choice,
    documented,
    field_of,
    flag,
    mapping,
    name,
    number,
    whole,
)
from .blocks import checked_blocks, checked_groups

CONSTRAINT_METHODS = ("clamp", "reflect")
BIAS_STARTS = ("zero", "uniform")
# Arrays of the size of all weights that a training holds, and as many again for each gradient:
# weights, constraints, moments of Adam, the best so far, copies.
WEIGHT_ARRAYS = 10


@documented
@dataclass(frozen=True)
class NetworkConfig:
    """Parameters of a network before training."""

    n_units: int = whole(100, "number of units N", minimum=1, maximum=None)
    activation: str = name(
        "relu",
        'tanh, relu, ..., or "package.module:attribute"',
        details="The activation function f: one of `models.ACTIVATIONS`, or a "
        "`models.ActivationFunction` of a package of one's own.",
    )
    activation_args: dict[str, float] = mapping(
        "arguments of the activation function", details="Defaults are filled in."
    )
    equation_type: str = field_of(Equation, "equation_type")
    tau: float = field_of(Equation, "tau")
    dt: float = field_of(Equation, "dt")
    gamma: float = field_of(Equation, "gamma")
    dale: bool = flag(False, "Dale's law", details="Every unit is either excitatory or inhibitory.")
    exc_to_inh_ratio: float = number(
        4.0, "excitatory units for each inhibitory one", exclusive_minimum=0.0
    )
    density: float = number(
        1.0,
        "fraction of recurrent connections that exist",
        exclusive_minimum=0.0,
        maximum=1.0,
        details="The rest stays zero.",
    )
    self_connections: bool = flag(False, "whether units may project to themselves")
    max_rank: int = whole(
        0,
        "rank of W_rec at most; 0: any",
        minimum=0,
        details="W_rec is then the product of two factors of as many columns, and these are "
        "trained.",
    )
    spectral_radius: float = number(
        1.2,
        "of W_rec at initialisation",
        exclusive_minimum=0.0,
        details="The largest modulus of its eigenvalues.",
    )
    nonnegative_inp: bool | None = flag(None, "input weights stay >= 0", derived="as dale")
    nonnegative_out: bool | None = flag(None, "output weights stay >= 0", derived="as dale")
    sigma_rec: float = field_of(Equation, "sigma_rec")
    sigma_inp: float = field_of(Equation, "sigma_inp")
    sigma_out: float = field_of(Equation, "sigma_out")
    noise_inside: bool = field_of(Equation, "noise_inside")
    bias_min: float = number(0.0, "lower end of the bias range")
    bias_max: float = number(0.0, "upper end; equal to bias_min: a constant, not trained")
    bias_init: str = choice(
        "zero",
        BIAS_STARTS,
        "where a trained bias starts",
        details="Zero is moved to the nearest value of the range.",
    )
    train_x_init: bool = flag(False, "whether the initial state is trained, from zero")
    constraint_method: str = choice(
        "clamp",
        CONSTRAINT_METHODS,
        "how constraints are kept",
        details="clamp: violators are set to zero after each step. reflect: the weights that are "
        "trained have the effective ones as their modulus.",
    )
    groups: dict[str, list[int]] = mapping(
        "named groups of units: areas, cell types",
        details="Name: [first, last), as [0, 40] for units 0 to 39; they may overlap. all is there "
        "anyway, and with Dale's law excitatory and inhibitory.",
    )
    blocks: dict[str, list[dict[str, Any]]] = mapping(
        "blocks of weights that are absent or not trained",
        details="W_rec, W_inp, W_out or b_rec: a list of {to, from, weights}, with groups of "
        "units, or numbers of channels, and weights absent, fixed at their initial values, or "
        "trained. Of entries that overlap the last one counts.",
    )

    def __post_init__(self) -> None:
        """Check and normalise every field."""
        errors: list[ParameterError] = []
        with collecting(errors):
            check_parameters(self)
        if are_right(errors, "activation", "activation_args"):
            with collecting(errors):
                activation = Activation(self.activation, dict(self.activation_args))
                assign(self, activation_args=activation.args)
        check_together(self, errors)
        self._check_units(errors)
        self._check_rank(errors)
        self._check_bias(errors)
        self._check_blocks(errors)
        raise_all(errors)
        for own in ("nonnegative_inp", "nonnegative_out"):
            if getattr(self, own) is None:
                assign(self, **{own: self.dale})

    def _check_units(self, errors: list[ParameterError]) -> None:
        if not are_right(errors, "n_units"):
            return
        # W_rec, in a training in float32.
        needed = 4 * 2 * WEIGHT_ARRAYS * self.n_units**2
        with collecting(errors):
            check_bytes("n_units", self.n_units, needed, "to train one network", "use fewer units")
        if are_right(errors, "n_units", "dale", "exc_to_inh_ratio") and self.n_excitatory == 0:
            errors.append(
                ParameterError(
                    "n_units",
                    self.n_units,
                    "leaves no excitatory unit",
                    "raise it, or exc_to_inh_ratio",
                )
            )

    def _check_rank(self, errors: list[ParameterError]) -> None:
        if not are_right(errors, "max_rank", "n_units") or not self.max_rank:
            return
        given, low = self.max_rank, f"W_rec of rank {self.max_rank}"
        if given >= self.n_units:
            problem = f"is no limit for {self.n_units} units"
            errors.append(ParameterError("max_rank", given, problem, "use fewer, or 0 for any"))
        # What a product of factors cannot keep.
        for field, is_kept, problem, remedy in (
            ("dale", self.dale is True, "do not keep the signs of units", "dale: false"),
            ("density", self.density != 1.0, "have no zeros to keep", "density: 1.0"),
            (
                "self_connections",
                self.self_connections is False,
                "have a diagonal",
                "self_connections: true",
            ),
        ):
            if are_right(errors, field) and is_kept:
                error = ParameterError(
                    field,
                    getattr(self, field),
                    f"the factors of {low} {problem}",
                    f"write {remedy}, or max_rank: 0",
                )
                errors.append(error)

    def _check_blocks(self, errors: list[ParameterError]) -> None:
        if not are_right(errors, "groups", "blocks", "n_units", "dale"):
            return
        with collecting(errors):
            assign(self, groups=checked_groups(self.groups, self.n_units))
            assign(self, blocks=checked_blocks(self.blocks, self.groups, self.dale))
            if self.max_rank and "W_rec" in self.blocks:
                raise ParameterError(
                    "blocks.W_rec",
                    self.blocks["W_rec"],
                    f"the factors of W_rec of rank {self.max_rank} do not keep blocks",
                    "leave it out, or write max_rank: 0",
                )

    def _check_bias(self, errors: list[ParameterError]) -> None:
        if are_right(errors, "bias_min", "bias_max") and self.bias_min > self.bias_max:
            errors.append(
                ParameterError(
                    "bias_min",
                    self.bias_min,
                    f"is larger than bias_max = {self.bias_max}",
                    "swap the two",
                )
            )

    @property
    def equation(self) -> Equation:
        """The network's equation."""
        shared = {f.name: getattr(self, f.name) for f in fields(Equation) if f.name != "activation"}
        return Equation(Activation(self.activation, dict(self.activation_args)), **shared)

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
