"""Settings of a training: a frozen, validated parameter set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import exp
from typing import Any

from tasks_lib.errors import ParameterError, are_right, check_float, collecting, raise_all

from ..parameters import (
    assign,
    check_parameters,
    choice,
    documented,
    flag,
    mapping,
    number,
    whole,
)

TASK_TERM = "task"  # the name of the task's own term of the loss, which no penalty has
WINDOWS = (100, 1_000, 10_000)  # iterations over which changes of the weights are recorded
# How a GPU may multiply: those that are good enough for a training
# (`models.engine.backends.triton_launch.Products`).
GPU_PRECISIONS = ("ieee", "bf16x6")
DROPOUT_KINDS = ("mute", "dead")
DROPOUT_SAMPLINGS = ("uniform", "participation", "output_weights")


@documented
@dataclass(frozen=True)
class TrainingConfig:
    """Parameters of a training."""

    max_iter: int = whole(3000, "optimiser steps", minimum=1)
    lr: float | None = number(
        None,
        "learning rate of Adam; null: 1e-3 (100 / N)^(1/3)",
        exclusive_minimum=0.0,
        nullable=True,
    )
    weight_decay: float = number(1e-6, "added to the gradient", minimum=0.0)
    max_grad_norm: float = number(
        50.0, "each network's gradient is scaled down to this norm", exclusive_minimum=0.0
    )
    same_batch: bool = flag(True, "one fixed batch, or a fresh one each iteration")
    task_safe_gradients: bool = flag(
        False,
        "penalties never against the task's gradient",
        details="What the penalties' gradient has against the task's is removed.",
    )
    monitor: bool = flag(
        False,
        "whether the gradient of each term of the loss is recorded",
        details="That is its norm; the loss of each term always is.",
    )
    anneal_noise: bool = flag(
        False,
        "noise level rises along a sigmoid of the iteration",
        details="1 / (1 + exp(-(i - M/3) / (M/12))) at iteration i of M.",
    )
    dropout_rate: float = number(
        0.0,
        "mean fraction of units dropped at each iteration",
        minimum=0.0,
        exclusive_maximum=1.0,
    )
    dropout_kind: str = choice(
        "mute",
        DROPOUT_KINDS,
        "not read, or sending nothing at all",
        details="What a dropped unit loses (`models.training.dropout`).",
    )
    dropout_sampling: str = choice(
        "uniform",
        DROPOUT_SAMPLINGS,
        "which units",
        details="Any, rather those that are active, or rather those that are read.",
    )
    dropout_beta: float = number(1.0, "how strongly those units are preferred", minimum=0.0)
    dropout_rescale: bool = flag(
        True,
        "whether the units that stay make up for the others",
        details="Receivers then get on average what they do without dropout.",
    )
    participation_rate: float = number(
        0.5,
        "share of the newest iteration in the mean participation",
        maximum=1.0,
        exclusive_minimum=0.0,
    )
    participation_quantile: float = number(
        0.9,
        "quantile of |r| that counts as a unit's activity",
        minimum=0.0,
        maximum=1.0,
        details="Over time and trials.",
    )
    validation_interval: int = whole(
        0,
        "iterations between validation scores; 0: none",
        minimum=0,
        details="The score is the noise-free pooled R^2 on trials of another seed; the weights "
        "with the best one are kept.",
    )
    patience: int = whole(0, "scores without a better one until it stops; 0: never", minimum=0)
    stop_score: float | None = number(
        None, "noise-free pooled R^2 at which it stops", maximum=1.0, nullable=True
    )
    trace_interval: int = whole(
        100,
        "iterations between traces; 0: none",
        minimum=0,
        details="What is recorded beside the losses (`models.training.traces`). It changes no "
        "network.",
    )
    snapshots: int = whole(
        0,
        "how often the weights are kept on the way; 0: never",
        minimum=0,
        maximum=1000,
        details="Before training, and after iterations of equal ratio up to the last "
        "(`models.training.snapshots`). It changes no network.",
    )
    gpu_precision: str = choice(
        "ieee",
        GPU_PRECISIONS,
        "how a GPU multiplies: float32, or on tensor cores",
        details="There as six products of parts in bfloat16, as exact (docs/engine.md). A CPU "
        "multiplies in float32 whatever is set.",
    )
    penalties: dict[str, dict[str, Any]] = mapping(
        "penalties added to the loss", details='Name -> {"weight": lambda, "args": {...}}.'
    )

    def __post_init__(self) -> None:
        """Check and normalise every field."""
        errors: list[ParameterError] = []
        with collecting(errors):
            check_parameters(self)
        if are_right(errors, "penalties"):
            assign(self, penalties=_checked_penalties(self.penalties, errors))
        for name, off in (("patience", 0), ("stop_score", None)):
            right = are_right(errors, name, "validation_interval")
            if right and getattr(self, name) != off and not self.validation_interval:
                errors.append(
                    ParameterError(
                        name,
                        getattr(self, name),
                        "needs a validation score",
                        "set validation_interval, for example to 50",
                    )
                )
        raise_all(errors)

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


def _checked_penalties(
    penalties: Mapping[str, Any], errors: list[ParameterError]
) -> dict[str, dict[str, Any]]:
    """Return penalties in their one normal form: sorted, arguments that are defaults left out.

    What is wrong with one is appended to ``errors``.
    """
    checked: dict[str, dict[str, Any]] = {}
    for name in sorted(penalties, key=str):
        with collecting(errors):
            checked[name] = _checked_penalty(name, penalties[name])
    return checked


def _checked_penalty(name: str, spec: Any) -> dict[str, Any]:
    from .. import penalties as penalty_registry  # these import torch

    if name == TASK_TERM:
        raise ParameterError(
            "penalties.task", spec, "is the loss that every training has", "leave it out"
        )
    if not isinstance(spec, Mapping) or not spec or set(spec) - {"weight", "args"}:
        raise ParameterError(
            f"penalties.{name}", spec, "is not a penalty", 'write {"weight": 0.1, "args": {}}'
        )
    errors: list[ParameterError] = []
    weight, args = 0.0, {}
    with collecting(errors):
        if "weight" in spec:
            weight = check_float(f"penalties.{name}.weight", spec["weight"], minimum=0.0)
    with collecting(errors):
        try:
            args = penalty_registry.normal_args(name, spec.get("args") or {})
        except ParameterError as error:
            if error.field != "penalties":
                raise
            raise ParameterError(
                f"penalties.{name}", spec, error.problem, error.remedy
            ) from error.__cause__
    raise_all(errors)
    if "weight" not in spec:
        remedy = f"give penalties.{name}.weight, for example 0.1"
        raise ParameterError(f"penalties.{name}", spec, f"comes without a weight of {name}", remedy)
    return {"weight": weight, "args": args}
