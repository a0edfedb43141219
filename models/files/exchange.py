"""Networks in files: read from and written to other programs.

===========  =====================================================================================
format       what the file holds
===========  =====================================================================================
seed-json    the parameters of trainRNNbrain (`models.files.trainrnnbrain`), our ``config``, and
             ``sha256`` of all of it: a file without it is read unchecked
seed-npz     the same fields as arrays; ``activation_args`` and ``config`` as JSON text
npz          ``W_rec W_inp W_out b_rec x_init`` and ``config``, a JSON text of `NetworkConfig`
state_dict   a PyTorch state_dict of the same five tensors; the configuration is a plain dict in
             its metadata, ``torch.load(path, weights_only=True)._metadata[""]["config"]``;
             that of another program with a mapping of names (`models.files.state_dicts`)
===========  =====================================================================================

Every format gives back the same network, to the bit. A field that is not understood refuses the
file (`models.files.known_fields`), since it may change what the network computes. No pickle is ever
read: an array of Python objects is refused, and PyTorch reads tensors and plain values only.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks_lib.brief import brief
from tasks_lib.documents import open_file, reason
from tasks_lib.errors import ParameterError, check_choice, renamed
from tasks_lib.imports import imports_only_from

from ..formulas.activations import Activation
from ..machine.atomic_file import write_atomically
from ..network.config import NetworkConfig
from ..network.connectivity import WEIGHTS, Connectivity, Float, as_weights
from ..network.rnn_numpy import RNNNumpy
from ..network.rnn_torch import RNNTorch
from .known_fields import BIAS_FIELDS, NOISE, STATE_FIELDS, add_run, check_fields, read_run, same
from .state_dicts import FIELD, NameMapping, read_mapping
from .trainrnnbrain import (
    activation_of,
    bias_range,
    config_from_seed,
    keep_what_holds,
    required,
    seed_fields,
)
from .weight_files import MAX_FILE, missing, read_fields, with_hash

FORMATS = ("seed-json", "seed-npz", "npz", "state_dict")


@brief
@dataclass(frozen=True)
class ImportedNetwork:
    """A network from a file.

    Attributes
    ----------
    config : NetworkConfig
        Its parameters; constraints are declared only where the weights keep them.
    weights : dict
        W_rec (N, N), W_inp (N, n_inputs), W_out (n_outputs, N), b_rec (N,), x_init (N,), float64,
        finite, as they are in the file.
    format : str
        One of `FORMATS`.
    sha256 : str
        Of the file.
    notes : tuple of str
        What the file does not say, or says and `NetworkConfig` cannot.
    """

    config: NetworkConfig
    weights: dict[str, Float]
    format: str
    sha256: str
    notes: tuple[str, ...] = ()

    @property
    def n_inputs(self) -> int:
        """Number of input channels."""
        return self.weights["W_inp"].shape[1]

    @property
    def n_outputs(self) -> int:
        """Number of output channels."""
        return self.weights["W_out"].shape[0]

    def to_numpy(self, seed: int | None = None) -> RNNNumpy:
        """Return the network for analysis."""
        return RNNNumpy(**self.weights, **vars(self.config.equation), seed=seed)

    def to_torch(self, **options: Any) -> RNNTorch:
        """Return the network for training, its constraints in force.

        Parameters
        ----------
        options
            seeds, device, dtype of `RNNTorch`.
        """
        return RNNTorch(Connectivity.of(self.weights, self.config), self.config, **options)


# Reading ---------------------------------------------------------------------------------------


def read_network(
    path: str | Path,
    config_path: str | Path | None = None,
    allow: Iterable[str] = (),
    mapping: str | Path | Mapping[str, Any] | None = None,
) -> ImportedNetwork:
    """Read a network from a file of any of the formats; its content says which.

    Parameters
    ----------
    path : str or Path
    config_path : str or Path, optional
        The configuration (YAML) that trainRNNbrain saved beside its parameters: the noise levels,
        and what else the file does not say.
    allow : iterable of str
        Packages whose activation functions the file may name: they are imported, which runs their
        code. By default no file can have anything imported.
    mapping : str, Path or mapping, optional
        Of another program's state_dict: which tensors are our weights, and its equation, as YAML
        file or dict (`models.files.state_dicts`).

    Raises
    ------
    ParameterError
        Where the file cannot be read, is a pickle, lacks weights, or holds weights or parameters
        that are not those of a network; where the configuration is that of another network.
    """
    notes: list[str] = []
    names = None if mapping is None else read_mapping(mapping)
    if names is not None and config_path is not None:
        raise ParameterError(
            "config", str(config_path), "a mapping says the equation", "leave it out"
        )
    with open_file("FILE", path, MAX_FILE) as file:
        kind, found = read_fields(file, str(path), notes, names)
        file.seek(0)
        hashed = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]
        digest = hashed.hexdigest()
    ours = found.pop("config", None)
    if ours is not None and config_path is not None:
        raise ParameterError(
            "config", str(config_path), "the file holds its own configuration", "leave it out"
        )
    if config_path is not None:
        add_run(found, read_run(config_path), kind, notes)
    with imports_only_from(allow):
        return _network(kind, found, ours, digest, notes, names)


def _network(
    kind: str,
    found: dict[str, Any],
    ours: Any,
    digest: str,
    notes: list[str],
    mapping: NameMapping | None = None,
) -> ImportedNetwork:
    weights = _weights(found)
    check_fields(found, weights["W_rec"].shape[0])
    if mapping is not None:
        try:
            config = _own_config(mapping.config_of(weights), found, weights)
        except ParameterError as error:
            raise renamed(
                error,
                lambda field: (
                    field.replace("config.", f"{FIELD}.config.", 1)
                    if field.startswith("config.")
                    else field
                ),
            ) from None
        notes += mapping.notes
    elif ours is not None:
        config = _own_config(ours, found, weights)
    else:
        if kind == "state_dict":
            # A module's parameters need not be the weights that it runs with.
            raise ParameterError(
                "config",
                None,
                "is not in the state_dict",
                "give a mapping of its names (mapping, --mapping), a params JSON or an npz file",
            )
        if kind == "npz" and "positions" not in found:  # whose class has form s only
            # The seed's npz files leave it out for both forms: a default would be a guess.
            required(found, "equation_type")
        config = config_from_seed(found, weights, notes)
    if kind == "npz" and "x_init" not in found:
        kind = "seed-npz"
    config = keep_what_holds(config, weights, notes)
    return ImportedNetwork(config, weights, kind, digest, tuple(notes))


def _weights(found: dict[str, Any]) -> dict[str, Float]:
    for name in ("W_rec", "W_inp", "W_out"):
        if found.get(name) is None:
            raise missing(name)
    w_rec = _array("W_rec", found["W_rec"])
    n = w_rec.shape[0] if w_rec.ndim else 0
    if not n:
        raise ParameterError("W_rec.shape", w_rec.shape, "has no units", "give W_rec (N, N)")
    given = bias_range(found) or (0.0, 0.0)
    # Where the file leaves the bias out, it is the middle of its range, as for the seed.
    bias = _first(found, BIAS_FIELDS, np.full(n, sum(given) / 2))
    state = _first(found, STATE_FIELDS, np.zeros(n))
    return {
        "W_rec": as_weights("W_rec", w_rec, (n, n)),
        "W_inp": as_weights("W_inp", _array("W_inp", found["W_inp"]), (n, None)),
        "W_out": as_weights("W_out", _array("W_out", found["W_out"]), (None, n)),
        "b_rec": as_weights("b_rec", _array("b_rec", bias).ravel(), (n,)),
        "x_init": as_weights("x_init", _array("x_init", state).ravel(), (n,)),
    }


def _first(found: Mapping[str, Any], names: tuple[str, ...], default: Float) -> Any:
    return next((found[name] for name in names if found.get(name) is not None), default)


def _array(name: str, value: Any) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(0, dtype=object)  # rows of unequal length
    if array.dtype.kind not in "fiu":
        raise ParameterError(name, value, "is not an array of numbers", "give rows of numbers")
    return array


def _own_config(ours: Any, found: Mapping[str, Any], weights: Mapping[str, Float]) -> NetworkConfig:
    known = [f.name for f in fields(NetworkConfig)]
    if not isinstance(ours, Mapping):
        raise ParameterError("config", ours, "is not a set of fields", "write NetworkConfig's")
    for name in ours:
        if name not in known:
            raise ParameterError(
                f"config.{name}", ours[name], "does not exist", f"use {', '.join(known)}"
            )
    try:
        config = NetworkConfig(**{"n_units": weights["W_rec"].shape[0], **ours})
    except (TypeError, AttributeError) as error:
        raise ParameterError("config", dict(ours), str(error), "mend the types") from None
    except ParameterError as error:
        raise renamed(error, lambda field: f"config.{field}") from None
    if config.n_units != weights["W_rec"].shape[0]:
        raise ParameterError(
            "config.n_units",
            config.n_units,
            f"W_rec has {weights['W_rec'].shape[0]} units",
            "give the configuration of these weights",
        )
    theirs = seed_fields(config, weights)
    theirs |= {name: getattr(config, name) for name in NOISE}
    for name in ("tau", "dt", "gamma", "equation_type", "activation_args", *NOISE):
        if found.get(name) is not None and not same(found[name], theirs[name]):
            raise _contradicts(name, found[name], theirs[name])
    if any(found.get(f"activation{end}") is not None for end in ("", "_name", "_slope")):
        given = activation_of({"activation_args": theirs["activation_args"], **found})
        if Activation(*given) != config.equation.activation:
            raise _contradicts("activation", given, theirs["activation_args"])
    return config


def _contradicts(name: str, value: Any, config_says: Any) -> ParameterError:
    return ParameterError(
        name, value, f"config says {config_says!r}", "change both, or remove config"
    )


# Writing ---------------------------------------------------------------------------------------


def write_network(
    path: str | Path, rnn: RNNNumpy | RNNTorch, config: NetworkConfig, format: str = "npz"
) -> Path:
    """Write one network to a file, which is replaced whole where it exists.

    Parameters
    ----------
    path : str or Path
        The file; no ending is added.
    rnn : RNNNumpy, or RNNTorch of one network
        Its weights, written as float32 where that loses nothing, else as float64.
    config : NetworkConfig
        Its parameters.
    format : {"npz", "state_dict", "seed-json", "seed-npz"}
        See the module.

    Raises
    ------
    ParameterError
        For an unknown format, several networks, or parameters that are not the network's.
    """
    check_choice("format", format, FORMATS)
    if rnn.n_units != config.n_units or rnn.equation != config.equation:
        raise ParameterError(
            "config",
            config.to_dict(),
            "is not that of the network",
            "give the configuration that the network was made with",
        )
    weights = in_fewest_bits(_weights_of(rnn))
    target, settings = Path(path), config.to_dict()
    named: dict[str, Any] = weights if format == "npz" else seed_fields(config, weights)
    try:
        if format == "state_dict":
            state = OrderedDict((name, torch.from_numpy(w)) for name, w in weights.items())
            state._metadata = {"": {"version": 1, "config": settings}}  # type: ignore[attr-defined]
            write_atomically(target, lambda file: torch.save(state, file))
        elif format == "seed-json":
            whole = with_hash({**named, "config": settings})
            text = json.dumps(whole, indent=4, default=np.ndarray.tolist)
            write_atomically(target, lambda file: file.write(text.encode()))
        else:
            texts = {n: json.dumps(v) for n, v in named.items() if isinstance(v, dict)}
            whole = {**named, **texts, "config": json.dumps(settings)}
            arrays = {n: v for n, v in whole.items() if v is not None}
            write_atomically(target, lambda file: np.savez(file, **arrays))
    except OSError as error:
        raise ParameterError(
            "PATH",
            str(path),
            reason(error),
            "name a file in a folder that you can write",
        ) from None
    return target


def _weights_of(rnn: RNNNumpy | RNNTorch) -> dict[str, NDArray[Any]]:
    if isinstance(rnn, RNNNumpy):
        return {name: getattr(rnn, name) for name in WEIGHTS}
    if rnn.n_networks != 1:
        raise ParameterError(
            "rnn", rnn.n_networks, "are several networks", "write rnn.to_numpy(index) of each"
        )
    return rnn.weights()


def in_fewest_bits(weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return weights as float32 where that loses nothing, else as float64."""
    single = all(np.array_equal(w, w.astype(np.float32)) for w in weights.values())
    return {name: w.astype(np.float32 if single else np.float64) for name, w in weights.items()}
