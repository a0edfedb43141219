"""Which fields a file of a network may hold: those that are understood, and no others.

A field that changes what a network computes, and is not understood, would be a wrong network
without a word. So every field is one of three kinds: it is read; it is known to change nothing once
the weights are there; or it refuses the file. The names are those that trainRNNbrain's code has
written since 2022, in all its classes of networks, and those of a run's configuration.

Its classes differ. ``RNN_torch`` of today knows both forms of the equation, and saves which; before
February 2026, and in the classes of `FORM_S_CLASSES` until today, there was form s only, without
noise of the output and without a bias, whatever a configuration says: they do not read it. Two of
them have an offset d, with which the equation is

    tau dx/dt = -(x - d) + f(W_rec x + W_inp u) + noise - gamma x^3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tasks_lib.errors import ParameterError, printable, raise_all, shown

from .yaml_documents import read_yaml

BIAS_FIELDS = ("b_rec", "bias", "bias_rec")
STATE_FIELDS = ("x_init", "y_init", "x0")
RATIO_FIELDS = ("exc2inhR", "exc_to_inh_ratio")
NOISE = ("sigma_rec", "sigma_inp", "sigma_out")
JSON_TEXTS = ("config", "params", "activation_args")
# Numbers of channels, by the names that they have had; they have to be those of the weights.
SIZES = {
    "W_inp": ("n_inputs", "num_inputs", "input_size"),
    "W_out": ("n_outputs", "num_outputs", "output_size"),
}
READ = {
    "W_rec", "W_inp", "W_out", "N", "dt", "tau", "gamma", "d", "equation_type", "activation",
    "activation_args", "activation_name", "activation_slope", "bias_range", "bias_trainable",
    "bias_out", "bias_init", "dale", "dale_mask", "io_nonnegativity", "self_connections",
    "weight_boundary", "recurrent_mask", "spectral_rad",
    *RATIO_FIELDS, *BIAS_FIELDS, *STATE_FIELDS, *NOISE, *JSON_TEXTS, *SIZES["W_inp"],
    *SIZES["W_out"],
}  # fmt: skip
# What was or will be done with weights; where units lie; masks, whose zeros the weights have; what
# the network did.
CHANGE_NOTHING = {
    "input_mask", "output_mask", "positions", "weight_boundary_eps", "seed", "RNN_tag", "cdeg",
    "neuronal_density", "connectivity_density_rec", "constrained", "sr", "bias_init_amp",
    "inhibitory_boost", "silent_init_frac", "master_inhib_frac", "master_inhib_strength",
    "master_ctx_drive", "freeze_master", "u", "states", "outputs", "points", "u_point", "rhs",
    "jacobian", "train_losses", "val_losses",
}  # fmt: skip
# Of a configuration of 2022 to 2024, where training and network are one list.
OF_TRAINING = {
    "weight_decay", "tol", "task_params", "same_batch", "n_steps", "max_iter", "mask", "lr",
    "lambda_r", "lambda_orth", "data_folder", "tag", "folder_tag", "shuffle",
}  # fmt: skip
# What a run's configuration may say, and a file of weights does not.
FROM_RUN = (
    "activation", "activation_args", "activation_name", "activation_slope", "equation_type", "N",
    "dt", "tau", "gamma", "d", "dale", "io_nonnegativity", "self_connections", "weight_boundary",
    "bias_init", "spectral_rad", *RATIO_FIELDS, *NOISE, *SIZES["W_inp"], *SIZES["W_out"],
)  # fmt: skip
# What a field means that a file of weights lacks: the classes that know it save it.
ABSENT = {"equation_type": "s", "gamma": 0.0, "d": 0.0}
FORM_S_CLASSES = {
    "RNN_torch_spatial", "RNN_torch_AdvsDO", "RNN_torch_AdvsTrialwiseDO", "RNN_torch_wStepwiseDO",
    "RNN_torch_wTrialwiseDO",
}  # fmt: skip
# Fields of a configuration that those classes do not read.
NOT_READ_THERE = {
    "equation_type", "sigma_out", "activation_args", "activation", "dale", "io_nonnegativity",
    "self_connections", "weight_boundary", "bias_range", "bias_init", "exc2inhR",
}  # fmt: skip
# Which have neither gamma nor d.
WITHOUT_OFFSET = FORM_S_CLASSES - {"RNN_torch_spatial", "RNN_torch_AdvsTrialwiseDO"}


def refuse_unknown(names: Iterable[tuple[str, Any]], known: set[str], prefix: str = "") -> None:
    """Refuse every field that is not known, all at once.

    Raises
    ------
    ParameterError
    """
    raise_all(
        [
            ParameterError(
                f"{prefix}{printable(name)[:80]}",
                value,
                "is not understood, and may change what the network computes",
                "remove it where it changes nothing; else this network cannot be read",
            )
            for name, value in sorted(names, key=lambda pair: str(pair[0]))
            if name not in known
        ]
    )


def check_fields(found: Mapping[str, Any], n_units: int) -> None:
    """Refuse fields that no network of ours has, or that contradict each other.

    Parameters
    ----------
    found : mapping
        Fields of a file, those of its run's configuration among them.
    n_units : int
        Number of units of its W_rec.

    Raises
    ------
    ParameterError
        For an unknown field, an offset d or a bias of the readout that is not 0, two fields of
        one meaning that differ, and numbers of units or channels that are not the weights'.
    """
    refuse_unknown(found.items(), READ | CHANGE_NOTHING)
    if _numbers("d", found.get("d")).any():
        raise ParameterError(
            "d",
            found["d"],
            "is an offset of the dynamics, -(x - d) + f(...), which our networks do not have",
            "import a network with d = 0",
        )
    if _numbers("bias_out", found.get("bias_out")).any():
        raise ParameterError(
            "bias_out",
            found["bias_out"],
            "our networks have no bias of the readout",
            "import a network without one",
        )
    if "positions" in found and found.get("equation_type") not in (None, "s"):
        raise ParameterError(
            "equation_type",
            found["equation_type"],
            "networks with positions of their units have form s",
            "remove one of the two",
        )
    for names in (BIAS_FIELDS, STATE_FIELDS, RATIO_FIELDS):
        given = [name for name in names if found.get(name) is not None]
        for other in given[1:]:
            if not _equal(found[given[0]], found[other]):
                raise ParameterError(
                    other, found[other], f"{given[0]} is the same and differs", "remove one"
                )
    sizes = {"N": n_units}
    for block, axis in (("W_inp", 1), ("W_out", 0)):
        shape = np.shape(found[block])
        sizes |= {name: shape[axis] for name in SIZES[block] if len(shape) == 2}
    for name, wanted in sizes.items():
        if found.get(name) is not None and not _equal(found[name], wanted):
            of = "units" if name == "N" else "channels"
            raise ParameterError(name, found[name], f"the weights have {wanted} {of}", "mend it")


def _numbers(name: str, value: Any) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(0.0 if value is None else value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(name, value, "is not an array of numbers", "mend the file") from None


def _equal(one: Any, other: Any) -> bool:
    try:
        return np.array_equal(np.ravel(one), np.ravel(other))
    except ValueError:  # rows of unequal length
        return False


# Configurations of runs ------------------------------------------------------------------------


def read_run(path: str | Path) -> dict[str, Any]:
    """Return what a run's configuration (YAML) says about its network.

    Raises
    ------
    ParameterError
        Where it cannot be read, names a class that is not known, or holds fields that are not
        understood.
    """
    content = read_yaml("config", path, text_keys=False)
    nested = content.get("model") if isinstance(content, Mapping) else None
    model = content if nested is None else nested
    if not isinstance(model, Mapping):
        raise ParameterError(
            "config", str(path), "holds no parameters", "give the configuration saved by the run"
        )
    given = {str(name): value for name, value in model.items() if value is not None}
    known = {*FROM_RUN, *CHANGE_NOTHING, *OF_TRAINING, "_target_", "_convert_", "bias_range"}
    refuse_unknown(given.items(), known, "config.")
    if _class_of(given) not in {"RNN_torch", *FORM_S_CLASSES}:
        raise ParameterError(
            "config._target_",
            given["_target_"],
            "is no class of networks that is known",
            f"RNN_torch and {', '.join(sorted(FORM_S_CLASSES))} are",
        )
    return {name: given[name] for name in (*FROM_RUN, "_target_", "bias_range") if name in given}


def _class_of(run: Mapping[str, Any]) -> str:
    """Return the module of the class that a configuration names, which tells them apart."""
    parts = str(run.get("_target_", "RNN_torch")).split(".")
    return parts[-2] if len(parts) > 1 else parts[0]


def add_run(found: dict[str, Any], run: Mapping[str, Any], kind: str, notes: list[str]) -> None:
    """Add what a run's configuration says to the fields of its file of weights.

    Parameters
    ----------
    found : dict
        Fields of the file; those that it lacks are added.
    run : mapping
        From `read_run`.
    kind : str
        The format of the file. One of texts has whatever its class saves.
    notes : list of str
        What the class of the network did not read is appended.

    Raises
    ------
    ParameterError
        Where the two contradict each other.
    """
    of = _class_of(run)
    is_form_s = of in FORM_S_CLASSES or not {"positions", "d"}.isdisjoint(found)
    not_read = NOT_READ_THERE if is_form_s else set()
    not_read = not_read | ({"gamma", "d"} if of in WITHOUT_OFFSET else set())
    if is_form_s and found.get("equation_type") is None:
        found["equation_type"] = "s"
    for name, value in run.items():
        if name == "_target_":
            continue
        if name in not_read:
            if not _is_off(name, value, found):
                notes.append(
                    f"{name}: the configuration says {shown(value)}, which this class of network "
                    "does not read"
                )
        elif name == "bias_range":
            _check_bias_range(found, value)
        elif found.get(name) is not None:
            if not same(found[name], value):
                raise ParameterError(
                    f"config.{name}",
                    value,
                    f"the file of weights says {shown(found[name])}",
                    "give the configuration of the same run",
                )
        elif kind == "seed-json" and name in ABSENT and not same(ABSENT[name], value):
            raise ParameterError(
                f"config.{name}",
                value,
                "is not in the file of weights, where every version that knows it saves it",
                f"write {name} into the file of weights, or give the configuration of its run",
            )
        else:
            found[name] = value


def _is_off(name: str, value: Any, found: Mapping[str, Any]) -> bool:
    """Return whether what is not read says no more than what the network has anyway."""
    if name in ("activation", "activation_args"):
        named = value.get("name") if isinstance(value, Mapping) else value
        slope = value.get("slope", 1.0) if isinstance(value, Mapping) else 1.0
        theirs = (found.get("activation_name"), found.get("activation_slope", 1.0))
        return same(named, theirs[0]) and same(slope, theirs[1])
    if name in ("equation_type", "sigma_out", "gamma", "d", "bias_range"):
        return _equal(value, "s") if name == "equation_type" else not np.any(value)
    return True  # constraints: what holds of the weights is declared


def _check_bias_range(found: Mapping[str, Any], value: Any) -> None:
    theirs = found.get("bias_range")
    if theirs is None and any(found.get(name) is not None for name in BIAS_FIELDS):
        return
    their_range = [0.0, 0.0] if theirs is None else theirs
    one, other = (_numbers("config.bias_range", v).ravel() for v in (value, their_range))
    if one.shape != other.shape or not np.allclose(one, other, rtol=1e-6, atol=0.0):
        raise ParameterError(
            "config.bias_range",
            value,
            "the file of weights has "
            + ("no bias" if theirs is None else f"bias_range {shown(theirs)}"),
            "give the configuration of the same run",
        )


def same(one: Any, other: Any) -> bool:
    """Return whether two values of a field are one, but for the precision of float32."""
    numbers = (int, float)
    if isinstance(one, numbers) and isinstance(other, numbers):
        return bool(np.isclose(one, other, rtol=1e-6, atol=0.0))
    return bool(one == other)
