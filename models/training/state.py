"""The state of a training as bytes: never a pickle, refused where they are not ours.

They are a NumPy ``.npz``: arrays by name, and one text, ``header``, in JSON. Every array has a
checksum in the container, so that bytes that were cut short or altered are found out.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tasks_lib import Task
from tasks_lib.base import plain
from tasks_lib.errors import ParameterError, shown, text_of

from ..machine.devices import kind_of
from ..machine.npz_files import open_zip
from ..network.batch import common_or_listed
from ..network.connectivity import BLOCKS, WEIGHTS
from ..network.constrained_weights import FACTORS
from ..network.rnn_torch import RNNTorch
from .config import TrainingConfig

FORMAT = "rnn-training-state"
VERSION = 2
MAX_ARRAYS = 10**6
START_OVER = "remove it to start this training over"


@dataclass(frozen=True, eq=False)
class TrainingState:
    """The complete state of a training, from which it resumes without a difference.

    Attributes
    ----------
    identity : dict
        What training it is: parameters, seeds, initial weights; JSON-able.
    values : dict
        Iteration and other plain values; JSON-able.
    arrays : dict
        Weights, moments of the optimiser, states of random generators, curves.
    """

    identity: dict[str, Any]
    values: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def write(self, file: BinaryIO) -> None:
        """Write it into an open file."""
        header = {
            "format": FORMAT,
            "version": VERSION,
            "identity": self.identity,
            "values": self.values,
        }
        text = np.array(json.dumps(header, sort_keys=True))
        arrays: dict[str, Any] = {"header": text, **self.arrays}
        np.savez(file, **arrays)

    def to_bytes(self) -> bytes:
        """Return what `write` writes."""
        file = io.BytesIO()
        self.write(file)
        return file.getvalue()  # the buffer itself, no copy of it

    @classmethod
    def from_bytes(cls, content: bytes, identity: Mapping[str, Any], source: str) -> TrainingState:
        """Read the state of the training that ``identity`` describes.

        Parameters
        ----------
        content : bytes
            What `write` wrote.
        identity : dict
        source : str
            Where they come from, for the error.

        Raises
        ------
        ParameterError
            Where the bytes are damaged, no training's state, or that of another training.
        """
        header, arrays = _contents(content, source)
        stored = header.get("identity")
        if (
            header.get("format") != FORMAT
            or not isinstance(stored, dict)
            or not isinstance(header.get("values"), dict)
        ):
            raise _refusal(source, "is not the state of a training")
        if header.get("version") != VERSION:
            raise _refusal(source, f"has version {header.get('version')}, and not {VERSION}")
        # What JSON makes of it, so that tuples and lists are the same.
        wanted = json.loads(json.dumps(dict(identity)))
        for key in {**wanted, **stored}:  # in this order: what is plainest comes first
            if stored.get(key) != wanted.get(key):
                difference = (
                    f"{key}: {_short(stored.get(key))} there, {_short(wanted.get(key))} here"
                )
                raise _refusal(source, f"is the state of another training ({difference})")
        return cls(stored, header["values"], arrays)

    def check_holds(self, source: str, arrays: Collection[str], values: Collection[str]) -> None:
        """Refuse a state, read from ``source``, that lacks arrays or values of these names."""
        missing = sorted({*arrays} - {*self.arrays}) + sorted({*values} - {*self.values})
        if missing:
            raise _refusal(source, f"lacks {', '.join(missing)}")


def _contents(content: bytes, source: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        with open_zip(io.BytesIO(content), MAX_ARRAYS) as container:
            for member in container.infolist():  # so that nothing unfolds
                if member.compress_type != zipfile.ZIP_STORED:
                    raise zipfile.BadZipFile(f"{shown(member.filename)} is compressed")
            damaged = container.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"{damaged} is damaged")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(str(arrays.pop("header")))
    except Exception as error:  # damaged containers fail in many ways; none is the user's fault
        raise _refusal(source, f"is damaged or foreign ({text_of(error)})") from None
    if not isinstance(header, dict):
        raise _refusal(source, "is not the state of a training")
    return header, arrays


def _refusal(source: str, problem: str) -> ParameterError:
    return ParameterError("checkpoint", source, problem, START_OVER)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """Return the state of a NumPy generator as plain values."""
    return plain(rng.bit_generator.state)


def set_generator_state(rng: np.random.Generator, state: Mapping[str, Any]) -> None:
    """Put a NumPy generator into a state that `generator_state` gave."""
    rng.bit_generator.state = _arrays(dict(state))


def _arrays(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _arrays(v) for key, v in value.items()}
    return np.array(value, dtype=np.uint64) if isinstance(value, list) else value


def training_identity(
    rnn: RNNTorch,
    tasks: Sequence[Task],
    configs: Sequence[TrainingConfig],
    trials_at_once: int | None = None,
) -> dict[str, Any]:
    """Return what makes a training this one, JSON-able: its parameters, seeds, initial weights.

    A parameter that differs between the networks is a list of each network's.
    """
    digest = hashlib.sha256()
    constraints = [f"{kind}_{block}" for kind in ("mask", "sign") for block in BLOCKS]
    names = [n for n in WEIGHTS if n != "W_rec"] if rnn.max_rank else WEIGHTS
    factors = FACTORS if rnn.max_rank else ()
    for name in (*names, *factors, *constraints):
        digest.update(getattr(rnn, f"_{name}").detach().cpu().numpy().tobytes())
    for name in rnn.with_fixed:
        digest.update(getattr(rnn, f"_fixed_{name}").cpu().numpy().tobytes())
    drawn = [
        {"class": f"{type(t).__module__}:{type(t).__qualname__}", "seed": t.seed, **t.params}
        for t in tasks
    ]
    settings = _by_name([config.to_dict() for config in configs])
    if settings["gpu_precision"] == "ieee":  # so that states of before there was a choice are read
        del settings["gpu_precision"]
    return {
        "n_units": rnn.n_units,
        "seeds": rnn.seeds,
        "precision": str(rnn.dtype),
        "device": kind_of(rnn.device),
        "constraint_method": rnn.constraint_method,
        "bias_range": list(rnn.bias_range),
        "train_x_init": rnn.train_x_init,
        "dale": None if rnn.dale is None else rnn.dale.tolist(),
        "exc_to_inh_ratio": rnn.exc_to_inh_ratio,
        "trials_at_once": trials_at_once,
        **_by_name([asdict(equation) for equation in rnn.equations]),
        **settings,
        "tasks": drawn,
        "initial_weights": digest.hexdigest(),
    }


def _by_name(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: common_or_listed([values[name] for values in each]) for name in each[0]}
