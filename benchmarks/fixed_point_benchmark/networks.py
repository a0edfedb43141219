"""The networks that are searched: trained here, and kept in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import tasks_lib
from models import (
    NetworkConfig,
    RNNNumpy,
    TrainingConfig,
    read_network,
    train_cohort,
    write_network,
)

ROOT = Path(__file__).resolve().parents[2]
FLIP_FLOP = {
    "activation": "tanh",
    "tau": 1.5,
    "sigma_rec": 0.01,
    "sigma_inp": 0.01,
    "bias_min": -0.5,
    "bias_max": 0.5,
}
FLIP_FLOP_TRAINING = TrainingConfig(max_iter=500, lr=0.005, max_grad_norm=1.0, same_batch=False)


@dataclass(frozen=True)
class Case:
    """One network at its inputs.

    Attributes
    ----------
    name : str
        Of the network.
    rnn : RNNNumpy
    task : Task or None
        Whose trials give the starts.
    inputs : dict of str to array (n_inputs,)
        The constant inputs.
    """

    name: str
    rnn: RNNNumpy
    task: Any
    inputs: dict[str, np.ndarray]


def _trained(
    folder: Path, name: str, task: Any, config: NetworkConfig, training: Any, n: int
) -> list[RNNNumpy]:
    """Return n networks of seeds 0, 1, ...: from the folder, or trained and kept there."""
    paths = [folder / f"{name}_{seed}.npz" for seed in range(n)]
    missing = [seed for seed, path in enumerate(paths) if not path.exists()]
    if missing:
        print(f"training {len(missing)} networks: {name}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        for network in train_cohort(task, config, training, seeds=missing).networks:
            rnn = RNNNumpy(**network.weights, **vars(config.equation))
            write_network(paths[network.seed], rnn, config)
    networks = []
    for path in paths:
        read = read_network(path)
        networks.append(RNNNumpy(**read.weights, **vars(read.config.equation)))
    return networks


def flip_flops(folder: Path, form: str, n_units: int, n: int) -> list[RNNNumpy]:
    """Return trained 3-bit flip-flops of equation form "s" or "h"."""
    config = NetworkConfig(n_units=n_units, equation_type=form, **FLIP_FLOP)
    task = tasks_lib.NBitFlipFlop(seed=0)
    name = f"flip_flop_{form}_{n_units}"
    return _trained(folder, name, task, config, FLIP_FLOP_TRAINING, n)


def flip_flop_inputs() -> dict[str, np.ndarray]:
    """Return no pulse, and a pulse on each bit."""
    pulses = {f"pulse {i + 1}": np.eye(3)[i] for i in range(3)}
    return {"zero": np.zeros(3), **pulses}


def example(folder: Path, name: str, n: int) -> list[Case]:
    """Return the first n networks of a submission in examples/, at the inputs of their task."""
    content = yaml.safe_load((ROOT / "examples" / f"{name}.yaml").read_text())
    (task_row,) = content["tasks"].values()
    (network,) = content["networks"].values()
    (training,) = content["trainings"].values()
    task = getattr(tasks_lib, task_row["class"])(seed=0, **task_row.get("params", {}))
    config, trainer = NetworkConfig(**network), TrainingConfig(**training)
    networks = _trained(folder, name, task, config, trainer, n)
    inputs = {key: np.asarray(u) for key, u in task.analysis_inputs.items()}
    return [Case(f"{name} {seed}", rnn, task, inputs) for seed, rnn in enumerate(networks)]


def cube() -> Case:
    """Return the untrained network of three units that has 27 points."""
    rnn = RNNNumpy(
        W_rec=2.0 * np.eye(3), W_inp=np.zeros((3, 1)), W_out=np.ones((1, 3)), activation="tanh"
    )
    return Case("cube of 3 units", rnn, None, {"zero": np.zeros(1)})


def all_cases(folder: Path, n_flip_flops: int, n_others: int, n_units: int) -> list[Case]:
    """Return the networks of the completeness table."""
    task = tasks_lib.NBitFlipFlop(seed=0)
    cases = [cube()]
    for form in "sh":
        cases += [
            Case(f"flip-flop {form} {seed}", rnn, task, {"zero": np.zeros(3)})
            for seed, rnn in enumerate(flip_flops(folder, form, n_units, n_flip_flops))
        ]
    for name in ("cddm", "memory_anti_number", "memory_anti_angle") if n_others else ():
        cases += example(folder, name, n_others)
    return cases
