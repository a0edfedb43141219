"""What a training is: a frozen parameter set that checks itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import exp
from typing import Any

from tasks_lib.errors import (
    MAX_COUNT,
    ParameterError,
    check_bool,
    check_choice,
    check_float,
    check_int,
)

from .. import penalties as penalty_registry
from ..network.config import assign

DROPOUT_KINDS = ("mute", "dead")
DROPOUT_SAMPLINGS = ("uniform", "participation", "output_weights")


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
    monitor : bool
        Record the norm of the gradient of each term of the loss; its loss always is.
    anneal_noise : bool
        Raise the noise level along a sigmoid of the iteration, 1 / (1 + exp(-(i - M/3) / (M/12))).
    dropout_rate : float
        Mean fraction of units that are dropped at each iteration, in [0, 1); 0 for none.
    dropout_kind : {"mute", "dead"}
        What a dropped unit loses: its readout, or all that it sends (`models.training.dropout`).
    dropout_sampling : {"uniform", "participation", "output_weights"}
        Which units are dropped: any, rather those that are active, or rather those that are read.
    dropout_beta : float
        How strongly they are preferred.
    dropout_rescale : bool
        Whether the units that stay make up for the others, so that receivers get on average what
        they do without dropout.
    participation_rate : float
        Share of the newest iteration in the running mean of participation, in (0, 1].
    participation_quantile : float
        Quantile of |r| over time and trials that counts as a unit's activity.
    validation_interval : int
        Every so many iterations the noise-free pooled R^2 on trials of another seed is taken, and
        the weights with the best one are kept; 0 for never.
    patience : int
        Stop after so many such scores in a row without a better one; 0 for never.
    stop_score : float, optional
        Stop as soon as the score reaches this.
    penalties : dict
        Penalty name -> {"weight": lambda, "args": {...}}.
    """

    max_iter: int = 3000
    lr: float | None = None
    weight_decay: float = 1e-6
    max_grad_norm: float = 50.0
    same_batch: bool = True
    task_safe_gradients: bool = False
    monitor: bool = False
    anneal_noise: bool = False
    dropout_rate: float = 0.0
    dropout_kind: str = "mute"
    dropout_sampling: str = "uniform"
    dropout_beta: float = 1.0
    dropout_rescale: bool = True
    participation_rate: float = 0.5
    participation_quantile: float = 0.9
    validation_interval: int = 0
    patience: int = 0
    stop_score: float | None = None
    penalties: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check and normalise every field."""
        score = self.stop_score
        assign(
            self,
            max_iter=check_int("max_iter", self.max_iter, 1, MAX_COUNT),
            lr=None if self.lr is None else check_float("lr", self.lr, exclusive_minimum=0.0),
            weight_decay=check_float("weight_decay", self.weight_decay, minimum=0.0),
            max_grad_norm=check_float("max_grad_norm", self.max_grad_norm, exclusive_minimum=0.0),
            same_batch=check_bool("same_batch", self.same_batch),
            task_safe_gradients=check_bool("task_safe_gradients", self.task_safe_gradients),
            monitor=check_bool("monitor", self.monitor),
            anneal_noise=check_bool("anneal_noise", self.anneal_noise),
            dropout_rate=check_float("dropout_rate", self.dropout_rate, 0.0),
            dropout_kind=check_choice("dropout_kind", self.dropout_kind, DROPOUT_KINDS),
            dropout_sampling=check_choice(
                "dropout_sampling", self.dropout_sampling, DROPOUT_SAMPLINGS
            ),
            dropout_beta=check_float("dropout_beta", self.dropout_beta, minimum=0.0),
            dropout_rescale=check_bool("dropout_rescale", self.dropout_rescale),
            participation_rate=check_float(
                "participation_rate", self.participation_rate, maximum=1.0, exclusive_minimum=0.0
            ),
            participation_quantile=check_float(
                "participation_quantile", self.participation_quantile, 0.0, 1.0
            ),
            validation_interval=check_int(
                "validation_interval", self.validation_interval, 0, MAX_COUNT
            ),
            patience=check_int("patience", self.patience, 0, MAX_COUNT),
            stop_score=None if score is None else check_float("stop_score", score, maximum=1.0),
            penalties=_checked_penalties(self.penalties),
        )
        if self.dropout_rate >= 1.0:
            raise ParameterError(
                "dropout_rate", self.dropout_rate, "leaves no unit", "give less than 1"
            )
        for name, off in (("patience", 0), ("stop_score", None)):
            if getattr(self, name) != off and not self.validation_interval:
                raise ParameterError(
                    name,
                    getattr(self, name),
                    "needs a validation score",
                    "set validation_interval, for example to 50",
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


def _checked_penalties(penalties: Any) -> dict[str, dict[str, Any]]:
    """Return penalties in their one normal form: sorted, arguments that are defaults left out."""
    if not isinstance(penalties, Mapping):
        raise ParameterError(
            "penalties", penalties, "are not named", 'write {"metabolic": {"weight": 0.1}}'
        )
    checked = {}
    for name in sorted(penalties, key=str):
        spec = penalties[name]
        if name == "task":
            raise ParameterError(
                "penalties.task", spec, "is the loss that every training has", "leave it out"
            )
        if not isinstance(spec, Mapping) or "weight" not in spec or set(spec) - {"weight", "args"}:
            raise ParameterError(
                f"penalties.{name}", spec, "is not a penalty", 'write {"weight": 0.1, "args": {}}'
            )
        checked[name] = {
            "weight": check_float(f"penalties.{name}.weight", spec["weight"], minimum=0.0),
            "args": penalty_registry.normal_args(name, spec.get("args") or {}),
        }
    return checked
