"""State_dicts of other programs: whose tensors are our weights says a mapping of names.

A mapping has two sections, in YAML or as a dict::

    names:                       # ours: theirs
      W_rec: rnn.weight_hh_l0
      W_inp: rnn.weight_ih_l0
      b_rec: [rnn.bias_ih_l0, rnn.bias_hh_l0]   # their sum
      W_out: readout.weight
    config:                      # fields of NetworkConfig
      activation: tanh

`torch.nn.RNN` and `torch.nn.RNNCell` compute (PyTorch's documentation of both)

    h[t+1] = f(W_ih u[t] + b_ih + W_hh h[t] + b_hh),   f = tanh or relu,

which is the Euler step of our form s, x[t+1] = x[t] + (dt / tau) (-x[t] + f(W_rec x[t] + W_inp u[t]
+ b)), with dt = tau, W_rec = W_hh, W_inp = W_ih and b = b_ih + b_hh. A leaky module, h[t+1] =
(1 - a) h[t] + a f(...), is the same with dt / tau = a; its names do not say a: ``config`` has to.
Whatever else a state_dict holds may change what the network computes, and refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tasks_lib.errors import ParameterError, printable, raise_all, shown, use_one_of

from ..network.connectivity import Float
from .yaml_documents import read_yaml

FIELD = "mapping"
SECTIONS = ("names", "config")
NEEDED = ("W_rec", "W_inp", "W_out")
# Ours -> the field of a file that it becomes; b_out has to be 0, as our networks have none.
NAMES = {**{name: name for name in NEEDED}, "b_rec": "b_rec", "x_init": "x_init",
         "b_out": "bias_out"}  # fmt: skip
OF_EQUATION = ("activation", "equation_type", "dt", "tau")
# As nn.RNN and nn.RNNCell call their recurrent weights.
ELMAN = re.compile(r"(?:.*\.)?weight_hh(?:_l0)?")
GATES = {3: "a GRU", 4: "an LSTM"}  # rows of their recurrent weights, in N
TIMING = (
    "outputs: here the output at step t is that of the state before the step; a module that reads "
    "the state after it has at step t what is here at step t + 1"
)


@dataclass(frozen=True)
class NameMapping:
    """Which tensors of a state_dict are our weights, and what it does not say.

    Attributes
    ----------
    names : dict
        Of `NAMES` -> names of tensors, of which the sum is taken.
    config : dict
        Fields of `NetworkConfig`.
    """

    names: dict[str, tuple[str, ...]]
    config: dict[str, Any]

    @property
    def is_elman(self) -> bool:
        """Whether the names are those of `torch.nn.RNN`, whose equation is known."""
        return ELMAN.fullmatch(self.names["W_rec"][0]) is not None

    def applied(self, loaded: Mapping[Any, Any]) -> dict[str, list[torch.Tensor]]:
        """Return field of a file -> the tensors whose sum it is.

        Raises
        ------
        ParameterError
            For a tensor that is not there, for each that nothing names, and for gates.
        """
        named = [name for names in self.names.values() for name in names]
        errors = []
        for ours, names in self.names.items():
            for name in names:
                field = f"{FIELD}.names.{ours}"
                if not isinstance(loaded.get(name), torch.Tensor):
                    known = [str(key) for key in loaded]
                    errors.append(
                        ParameterError(field, name, "is no tensor of the state_dict",
                                       use_one_of(name, known))
                    )  # fmt: skip
                elif named.count(name) > 1:
                    errors.append(ParameterError(field, name, "is named twice", "name it once"))
        for key, value in loaded.items():
            if key not in named:
                said = tuple(value.shape) if isinstance(value, torch.Tensor) else value
                errors.append(
                    ParameterError(
                        printable(str(key))[:80], said,
                        "is named by nothing, and may change what the network computes",
                        "name it in the mapping; remove it from the state_dict where it changes "
                        "nothing; else this network cannot be read",
                    )
                )  # fmt: skip
        raise_all(errors)
        shape = tuple(loaded[self.names["W_rec"][0]].shape)
        if len(shape) == 2 and shape[1] and shape[0] in (gates := {n * shape[1]: n for n in GATES}):
            raise ParameterError(
                "W_rec.shape", shape, f"are the gates of {GATES[gates[shape[0]]]}",
                "import a network without gates",
            )  # fmt: skip
        return {NAMES[ours]: [loaded[name] for name in names] for ours, names in self.names.items()}

    def config_of(self, weights: Mapping[str, Float]) -> dict[str, Any]:
        """Return the fields of `NetworkConfig`: those given, and what follows from the weights.

        Raises
        ------
        ParameterError
            Where they do not say the equation, or another one than that of `torch.nn.RNN`.
        """
        given = dict(self.config)
        if self.is_elman:
            self._check_elman(given)
            given = {"equation_type": "s", "dt": 1.0, "tau": given.get("dt", 1.0), **given}
            given["dt"] = given["tau"]
        for name in OF_EQUATION:
            if name not in given:
                hint = ": tanh is the default of nn.RNN" if self.is_elman else ""
                raise ParameterError(
                    f"{FIELD}.config.{name}", None, "is missing: a state_dict does not say it",
                    f"write what the program has{hint}",
                )  # fmt: skip
        bias = weights["b_rec"]
        return {
            "self_connections": True,
            "bias_min": float(bias.min()),
            "bias_max": float(bias.max()),
            **given,
        }

    def _check_elman(self, given: Mapping[str, Any]) -> None:
        """Refuse fields that torch.nn.RNN does not have."""
        wanted: dict[str, tuple[Any, ...]] = {
            "equation_type": ("s",), "gamma": (0,), "activation": ("tanh", "relu"),
            "activation_args": ({}, {"slope": 1}, {"slope": 1.0}), "noise_inside": (False,),
        }  # fmt: skip
        for name, values in wanted.items():
            if name in given and given[name] not in values:
                raise ParameterError(
                    f"{FIELD}.config.{name}", given[name],
                    f"{shown(self.names['W_rec'][0])} is of torch.nn.RNN, which has "
                    f"{' or '.join(str(value) for value in values[:2])}",
                    "leave it out, or name the tensors of another module",
                )  # fmt: skip
        if given.get("dt", given.get("tau")) != given.get("tau", given.get("dt")):
            raise ParameterError(
                f"{FIELD}.config.dt", given["dt"],
                f"torch.nn.RNN has no leak, which is dt = tau, and tau is {given['tau']}",
                "leave both out, or name the tensors of another module",
            )  # fmt: skip

    @property
    def notes(self) -> list[str]:
        """What is said of the import: the names, and when outputs are read."""
        names = ", ".join(f"{ours} = {' + '.join(names)}" for ours, names in self.names.items())
        return [f"names: {names}", TIMING]


def read_mapping(source: str | Path | Mapping[str, Any]) -> NameMapping:
    """Return a mapping of names from a YAML file or a dict.

    Raises
    ------
    ParameterError
        Where it cannot be read, or does not have the form that the module shows.
    """
    content = source if isinstance(source, Mapping) else read_yaml(FIELD, source)
    if not isinstance(content, Mapping):
        raise ParameterError(FIELD, str(source), "holds no sections", "write names: and config:")
    for section, entries in content.items():
        if section not in SECTIONS:
            raise ParameterError(
                f"{FIELD}.{section}", entries, "does not exist", use_one_of(str(section), SECTIONS)
            )
        if not isinstance(entries, Mapping):
            raise ParameterError(
                f"{FIELD}.{section}", entries, "is not a set of fields", "write name: value"
            )
    names: dict[str, tuple[str, ...]] = {}
    for ours, theirs in content.get("names", {}).items():
        field = f"{FIELD}.names.{ours}"
        if ours not in NAMES:
            raise ParameterError(field, theirs, "is no weight", use_one_of(str(ours), NAMES))
        parts = theirs if isinstance(theirs, list | tuple) and ours == "b_rec" else [theirs]
        if not parts or not all(isinstance(part, str) for part in parts):
            remedy = "write the name of a tensor; for b_rec also a list of names, which are added"
            raise ParameterError(field, theirs, "names no tensor", remedy)
        names[ours] = tuple(parts)
    for ours in NEEDED:
        if ours not in names:
            raise ParameterError(
                f"{FIELD}.names.{ours}", None, "is missing", "name the tensor that it is"
            )
    return NameMapping(names, dict(content.get("config", {})))
