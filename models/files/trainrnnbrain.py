"""Parameters of a network in trainRNNbrain's format: converted to ours and back.

Its files hold one flat set of fields. In use since 2022: ``W_rec W_inp W_out y_init N dt tau``;
``bias_rec`` and ``bias_out`` at first, later ``bias``, ``bias_range`` and ``bias_trainable``;
``activation_name`` and ``activation_slope``, since 2026 ``activation_args``; since then ``gamma``,
``equation_type`` (absent: form s), ``dale_mask``, masks of all blocks, ``dale``,
``io_nonnegativity``, ``self_connections`` and ``weight_boundary``. Noise levels are in the run's
configuration only. What else a file may hold is in `models.files.known_fields`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tasks_lib.errors import (
    ParameterError,
    check_bool,
    check_choice,
    check_float,
    shown,
)

from ..formulas.activations import Activation
from ..network.blocks import EXCITATORY, INHIBITORY, states_of_weights
from ..network.config import NetworkConfig
from ..network.connectivity import ZERO, Float, block_masks, dale_signs
from ..network.low_rank import numerical_rank
from .known_fields import NOISE

BOUNDARIES = {"sticky": "clamp", "reflective": "reflect"}
BIAS_STARTS = {"zeros": "zero", "zero": "zero", "uniform": "uniform"}
TOLERANCE = 1e-6  # bounds of a float32 bias, in units of max(1, |bound|)


def config_from_seed(
    fields: Mapping[str, Any], weights: Mapping[str, Float], notes: list[str]
) -> NetworkConfig:
    """Return the configuration that the seed's fields describe; append to ``notes``.

    Raises
    ------
    ParameterError
        For a field that is wrong, missing without a default, or that our networks cannot have.
    """
    n_units = weights["W_rec"].shape[0]
    notes += [f"{name}: is not in the file; 0 was taken" for name in NOISE if name not in fields]
    name, args = activation_of(fields)
    self_connections = _flag(fields, "self_connections", False)
    given = _or(fields.get("exc2inhR"), _or(fields.get("exc_to_inh_ratio"), 4.0))
    ratio = check_float("exc_to_inh_ratio", given, exclusive_minimum=0.0)
    dale, ratio = _dale(fields, n_units, ratio, notes)
    nonnegative = _flag(fields, "io_nonnegativity", dale)
    bias_min, bias_max = _bias_bounds(fields, weights["b_rec"], notes)
    boundary = check_choice(
        "weight_boundary", _or(fields.get("weight_boundary"), "sticky"), tuple(BOUNDARIES)
    )
    return NetworkConfig(
        n_units=n_units,
        activation=name,
        activation_args=args,
        equation_type=_or(fields.get("equation_type"), "s"),
        tau=required(fields, "tau"),
        dt=required(fields, "dt"),
        gamma=_or(fields.get("gamma"), 0.0),
        dale=dale,
        exc_to_inh_ratio=ratio,
        density=_density(fields, n_units, self_connections),
        self_connections=self_connections,
        spectral_radius=_or(fields.get("spectral_rad"), 1.2),
        nonnegative_inp=nonnegative,
        nonnegative_out=nonnegative,
        **{name: _or(fields.get(name), 0.0) for name in NOISE},
        bias_min=bias_min,
        bias_max=bias_max,
        bias_init=BIAS_STARTS.get(str(fields.get("bias_init")), "zero"),
        constraint_method=BOUNDARIES[boundary],
    )


def seed_fields(config: NetworkConfig, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return every field that the seed's RNN_torch.set_params and RNN_numpy ask for."""
    masks = block_masks(config, weights)
    sign = dale_signs(config)
    return {
        "activation_args": {"name": config.activation, **config.activation_args},
        **{name: weights[name] for name in ("W_out", "W_inp", "W_rec")},
        "y_init": weights["x_init"],
        "bias": weights["b_rec"],
        "bias_range": [config.bias_min, config.bias_max],
        "bias_trainable": config.trains_bias,
        "N": config.n_units,
        "dt": config.dt,
        "tau": config.tau,
        "gamma": config.gamma,
        "weight_boundary": {ours: theirs for theirs, ours in BOUNDARIES.items()}[
            config.constraint_method
        ],
        "weight_boundary_eps": 1e-12,
        "dale_mask": sign if config.dale else None,
        "dale": config.dale,
        "io_nonnegativity": bool(config.nonnegative_inp and config.nonnegative_out),
        "self_connections": config.self_connections,
        "input_mask": masks["W_inp"].astype(np.float64),
        "recurrent_mask": masks["W_rec"].astype(np.float64),
        "output_mask": masks["W_out"].astype(np.float64),
        "equation_type": config.equation_type,
    }


def keep_what_holds(
    config: NetworkConfig, weights: Mapping[str, Float], notes: list[str]
) -> NetworkConfig:
    """Return the configuration without the constraints that the weights violate.

    The weights are never changed: a constraint that they break is not declared, and noted.
    """
    w_rec, bias = weights["W_rec"], weights["b_rec"]
    changes: dict[str, Any] = {}
    sign = dale_signs(config)
    if np.any(w_rec * sign < -ZERO) or np.any(np.abs(weights["W_out"][:, sign < 0]) > ZERO):
        changes["dale"] = False
        notes.append("dale: the weights break Dale's law, so it was not declared")
    for name, block in (("nonnegative_inp", "W_inp"), ("nonnegative_out", "W_out")):
        if getattr(config, name) and np.any(weights[block] < -ZERO):
            changes[name] = False
            notes.append(f"{name}: {block} has negative entries, so it was not declared")
    if not config.self_connections and np.any(np.abs(np.diag(w_rec)) > ZERO):
        changes["self_connections"] = True
        notes.append("self_connections: W_rec has some, so they were declared")
    free = changes.get("self_connections", config.self_connections)
    if np.count_nonzero(np.abs(w_rec) > ZERO) > round(
        config.density * _n_candidates(config.n_units, free)
    ):
        changes["density"] = 1.0
        notes.append("density: W_rec is denser than declared, so 1 was taken")
    if config.max_rank and numerical_rank(w_rec) > config.max_rank:
        changes["max_rank"] = 0
        notes.append("max_rank: W_rec has a higher rank, so it was not declared")
    kept = {
        name: entries
        for name, entries in config.blocks.items()
        if _fit_blocks(config, name, entries, weights[name], changes.get("dale", config.dale))
    }
    if kept != config.blocks:
        changes["blocks"] = kept
        gone = ", ".join(name for name in config.blocks if name not in kept)
        notes.append(f"blocks: those of {gone} do not fit the weights, so they were not declared")
    slack = TOLERANCE * max(1.0, abs(config.bias_min), abs(config.bias_max))
    if bias.min() < config.bias_min - slack or bias.max() > config.bias_max + slack:
        changes["bias_min"] = min(config.bias_min, float(bias.min()))
        changes["bias_max"] = max(config.bias_max, float(bias.max()))
        notes.append("bias_range: was widened to hold the biases")
    return replace(config, **changes)


def _fit_blocks(
    config: NetworkConfig,
    name: str,
    entries: Sequence[Mapping[str, Any]],
    weights: Float,
    dale: bool,
) -> bool:
    """Return whether weights are 0 where blocks say that they are absent, and groups are there."""
    exist, _ = states_of_weights(config, name, weights.shape)
    named = [value for entry in entries for value in entry.values() if isinstance(value, str)]
    of_cells = EXCITATORY in named or INHIBITORY in named
    return not (np.abs(weights[~exist]) > ZERO).any() and (dale or not of_cells)


def bias_range(fields: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the seed's range of the bias; None where the file gives none."""
    given = fields.get("bias_range")
    if given is None:
        return None
    values = np.asarray(given, dtype=object).ravel().tolist()
    if len(values) != 2:
        raise ParameterError("bias_range", given, "is not a pair", "write [lowest, highest]")
    # The seed kept it in float32: 0.2 came out as 0.20000000298.
    low, high = (float(str(np.float32(check_float("bias_range", v)))) for v in values)
    return low, high


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def required(fields: Mapping[str, Any], name: str) -> Any:
    """Return a field that has no default."""
    if fields.get(name) is None:
        raise ParameterError(
            name, None, "is not in the file", "give the run's configuration (config_path, --config)"
        )
    return fields[name]


def activation_of(fields: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    """Return name and arguments of the activation that fields name, however they name it.

    Raises
    ------
    ParameterError
        Where none is named, and where two fields name different ones.
    """
    named: list[tuple[str, str]] = []
    arguments: list[tuple[str, dict[str, Any]]] = []
    for field in ("activation_args", "activation", "activation_name"):
        given = fields.get(field)
        if isinstance(given, Mapping):
            args = dict(given)
            if "name" not in args:
                raise ParameterError(field, args, "has no name", "name the activation")
            given = args.pop("name")
            arguments.append((field, args))
        if given is None:
            continue
        if not isinstance(given, str):
            raise ParameterError(field, given, "is not the name of a function", "name it")
        named.append((field, given))
    if not named:
        required(fields, "activation_args")
    name, slope = named[0][1], fields.get("activation_slope")
    if slope is not None:
        # The seed took the slope of softplus for its beta.
        arguments.append(("activation_slope", {"beta" if name == "softplus" else "slope": slope}))
    for field, other in named[1:]:
        if other != name:
            raise _differs(field, fields, named[0][0])
    for field, args in arguments[1:]:
        if Activation(name, args) != Activation(name, arguments[0][1]):
            raise _differs(field, fields, arguments[0][0])
    return name, arguments[0][1] if arguments else {}


def _differs(field: str, fields: Mapping[str, Any], first: str) -> ParameterError:
    return ParameterError(
        field, fields[field], f"{first} says {shown(fields[first])}", "remove one of the two"
    )


def _flag(fields: Mapping[str, Any], name: str, default: bool) -> bool:
    return check_bool(name, _or(fields.get(name), default))


def _numbers(name: str, value: Any) -> Float:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(name, value, "is not an array of numbers", "mend the file") from None


def _dale(
    fields: Mapping[str, Any], n_units: int, ratio: float, notes: list[str]
) -> tuple[bool, float]:
    mask = fields.get("dale_mask")
    declared = _flag(fields, "dale", mask is not None)
    if not declared or mask is None:
        return declared, ratio
    excitatory = _numbers("dale_mask", mask).ravel() > 0
    if excitatory.size != n_units:
        raise ParameterError("dale_mask", excitatory.size, f"there are {n_units} units", "mend it")
    n_exc = int(excitatory.sum())
    if n_exc in (0, n_units) or not excitatory[:n_exc].all():
        notes.append(
            "dale_mask: excitatory units first, inhibitory ones last is the only order that can be "
            "declared; units kept their numbers, and Dale's law was not declared"
        )
        return False, ratio
    agrees = NetworkConfig(n_units=n_units, dale=True, exc_to_inh_ratio=ratio).n_excitatory == n_exc
    return True, ratio if agrees else n_exc / (n_units - n_exc)


def _n_candidates(n_units: int, self_connections: bool) -> int:
    return n_units * n_units if self_connections else n_units * (n_units - 1)


def _density(fields: Mapping[str, Any], n_units: int, self_connections: bool) -> float:
    mask = fields.get("recurrent_mask")
    candidates = _n_candidates(n_units, self_connections)
    if mask is None or not candidates:
        return 1.0
    allowed = _numbers("recurrent_mask", mask) != 0
    if allowed.shape != (n_units, n_units):
        raise ParameterError("recurrent_mask.shape", allowed.shape, "is not W_rec's", "mend it")
    n_allowed = int(allowed.sum()) - (0 if self_connections else int(np.diag(allowed).sum()))
    return n_allowed / candidates or 1.0


def _bias_bounds(fields: Mapping[str, Any], bias: Float, notes: list[str]) -> tuple[float, float]:
    given = bias_range(fields)
    if given is not None and (given[0] == given[1] or _flag(fields, "bias_trainable", True)):
        return given
    low, high = float(bias.min()), float(bias.max())
    if high > low:
        notes.append("bias_range: is not in the file; the range of the biases was taken")
    return low, high
