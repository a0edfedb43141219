"""How far the library is from the reference data: the largest deviation from each file.

python benchmarks/reference_deviation.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import (
    Connectivity,
    NetworkConfig,
    RNNNumpy,
    RNNTorch,
    get_activation,
    penalties,
)
from models.penalties import PenaltyContext
from tasks_lib import CDDM, MemoryAntiAngle

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"


def load(name: str) -> dict[str, Any]:
    """Return the arrays of a file, texts read as JSON."""
    with np.load(DATA / f"{name}.npz") as file:
        return {k: json.loads(str(v)) if v.dtype.kind == "U" and k != "equation_type" else v
                for k, v in file.items()}  # fmt: skip


def dynamics(name: str) -> dict[str, float]:
    """Compare trajectories, right-hand side and Jacobian."""
    data = load(f"dynamics_{name}")
    weights = {k: data[k] for k in ("W_rec", "W_inp", "W_out", "b_rec", "x0")}
    rnn = RNNNumpy(**weights, **data["params"])
    found = dict(zip(("states", "outputs"), rnn.run(data["u"]), strict=True))
    found["right-hand side"] = rnn.rhs(data["points"], data["u_point"])
    found["Jacobian"] = rnn.jacobian(data["points"], data["u_point"])
    wanted = {**data, "right-hand side": data["rhs"], "Jacobian": data["jacobian"]}
    result = {f"{k}, float64": largest(v, wanted[k]) for k, v in found.items()}
    weights["x_init"] = weights.pop("x0")
    f = get_activation(data["params"].pop("activation"))
    config = NetworkConfig(
        n_units=rnn.n_units,
        activation=f.name,
        activation_args=f.args,
        self_connections=True,
        **data["params"],
    )
    for dtype in (torch.float64, torch.float32):
        pair = RNNTorch(Connectivity.of(weights, config), config, dtype=dtype)(data["u"])
        for k, tensor in zip(("states", "outputs"), pair, strict=True):
            label = f"{k}, torch {str(dtype).rsplit('.', 1)[1]}"
            result[label] = largest(tensor.detach().numpy(), data[k])
    return result


def task(cls: Any, name: str) -> dict[str, float]:
    """Compare a batch, as float32."""
    data = load(f"task_{name}")
    inputs, targets, _ = cls(**data["params"]).get_batch()
    return {
        "inputs": largest(inputs.astype(np.float32), data["inputs"]),
        "targets": largest(targets.astype(np.float32), data["targets"]),
    }


def penalty_values() -> dict[str, float]:
    """Compare the values of penalties (float32)."""
    data = load("penalties_s")
    names = ("dale", "W_rec", "W_inp", "W_out", "targets", "states", "outputs", "mask")
    context = PenaltyContext(
        **{k: torch.from_numpy(data[k]) for k in names},
        inputs=torch.from_numpy(data["u"]),
        rates_of=lambda: torch.from_numpy(data["states"]),
        b_rec=torch.zeros(len(data["W_rec"])),
        exc_to_inh_ratio=float(data["exc_to_inh_ratio"]),
        equation_type="s",
        n_units=len(data["W_rec"]),
    )
    return {
        name: abs(float(penalties.get(name)(context, **spec["args"])) - spec["value"])
        for name, spec in data["penalties"].items()
    }


def largest(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return the largest absolute difference."""
    return float(np.abs(np.asarray(found, np.float64) - wanted).max())


def main() -> None:
    """Print the deviations of each file."""
    files = {
        "dynamics_s_relu.npz": dynamics("s_relu"),
        "dynamics_h_tanh.npz": dynamics("h_tanh"),
        "task_cddm_two_outputs.npz": task(CDDM, "cddm_two_outputs"),
        "task_memory_anti_angle.npz": task(MemoryAntiAngle, "memory_anti_angle"),
        "penalties_s.npz": penalty_values(),
    }
    for file, deviations in files.items():
        print(file)
        for what, deviation in deviations.items():
            print(f"  {what:28s} {deviation:.1e}")


if __name__ == "__main__":
    main()
