"""The trainer of a checkout of trainRNNbrain, run as it stands."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from unittest import mock

import torch

from .peers import NO_CLIPPING, Peer, Unavailable
from .problem import (
    ALPHA,
    BLOCKS,
    MAX_GRAD_NORM,
    RATE_CAP,
    RATE_POWER,
    RATE_TAU,
    RATE_WEIGHT,
    SIGMAS,
    SPARSITY_WEIGHT,
    TARGET_DEGREE,
    WEIGHT_DECAY,
    Arrays,
    Problem,
    existing,
)

# What its modules import at their head and a training step never calls.
UNUSED = ("omegaconf", "sklearn", "sklearn.decomposition", "sklearn.cluster", "hydra", "tqdm")


class Seed(Peer):
    """trainRNNbrain, from the checkout that `checkout` names."""

    name = "seed"
    work = (
        "`train_step` of the checkout's own trainer (forward, gradients, clipping, Adam, "
        "constraints, R², and its monitor with penalties), its printing and copying of weights "
        "not counted; it draws the readout's noise once a trial and not at every step; it has no "
        "batch of networks, so K of them are K steps: one is timed"
    )
    # Its inner product with the task's gradient counts weights that do not exist: gradients are
    # compared before the projection.
    projects_alike = False
    buffers = 16
    checkout: ClassVar[Path | None] = None

    @property
    def networks_per_step(self) -> int:
        """One: it knows no cohorts."""
        return 1

    def prepare(self) -> None:
        """Make its network and trainer with its default configuration."""
        self._trainer = self._make(noise=True, safe=True, monitor=True)
        device = self._trainer.RNN.device
        self._inputs, self._targets = (torch.from_numpy(a).to(device) for a in self.problem.batch)
        self._steps = self.problem.task().mask

    def _make(self, noise: bool, safe: bool, monitor: bool, clip: float = MAX_GRAD_NORM) -> Any:
        if self.checkout is None:
            raise Unavailable("no checkout given (--seed-repo)")
        problem, network, trainer = self.problem, *_modules(self.checkout)
        with _device(problem), contextlib.redirect_stdout(io.StringIO()):
            rnn = network.RNN_torch(
                N=problem.n_units,
                activation_args={"name": "relu", "slope": 1.0},
                equation_type="h",
                dt=1,
                tau=1 / ALPHA,
                exc2inhR=4.0,
                gamma=0,
                dale=True,
                io_nonnegativity=True,
                weight_boundary="sticky",
                self_connections=False,
                connectivity_density_rec=1.0,
                spectral_rad=1.2,
                bias_range=[0.0, 0.0],
                seed=0,
                **{f"sigma_{k}": sigma if noise else 0.0 for k, sigma in SIGMAS.items()},
            )
        with torch.no_grad():
            for name in BLOCKS:
                getattr(rnn, name).copy_(torch.from_numpy(problem.weights[name][0]))
        adam = torch.optim.Adam(
            rnn.parameters(), lr=problem.learning_rate, weight_decay=WEIGHT_DECAY
        )
        on = problem.penalised
        made = trainer.Trainer(
            RNN=rnn,
            Task=None,
            max_iter=3000,
            optimizer=adam,
            max_grad_norm=clip,
            anneal_noise=False,
            monitor=monitor and on,
            task_safe_gradients=safe and on,
            lambda_orth=0.0,
            lambda_rws=SPARSITY_WEIGHT * on,
            rws_args={"tg_deg": TARGET_DEGREE, "eps": 1e-12},
            lambda_frm=RATE_WEIGHT * on,
            frm_args={
                "cap_fr": RATE_CAP,
                "tau": RATE_TAU,
                "g_top": RATE_POWER,
                "g_bot": RATE_POWER,
                "alpha": 1.0,
                "beta": 1.0,
                "eps": 1e-12,
                "aggregation": "mean",
                "tau_n": 1.0,
            },
            dropout=False,
        )
        rnn.train()
        return made

    def gradients(self, safe: bool) -> Arrays:
        """Read what its first step hands to the optimiser."""
        trainer = self._make(noise=False, safe=safe, monitor=False, clip=NO_CLIPPING)
        trainer.train_step(self._inputs, self._targets, self._steps)
        grads = {k: getattr(trainer.RNN, k).grad[None].cpu() for k in BLOCKS}
        return existing(grads, self.problem)

    def step(self) -> None:
        """Do one step of one network."""
        self._trainer.train_step(self._inputs, self._targets, self._steps)


@contextlib.contextmanager
def _device(problem: Problem) -> Iterator[None]:
    """It takes a GPU wherever there is one; on the CPU it must see none."""
    if problem.device.startswith("cuda"):
        yield
    else:
        with mock.patch("torch.cuda.is_available", return_value=False):
            yield


def _modules(checkout: Path) -> tuple[ModuleType, ModuleType]:
    """Import its network and trainer, without the libraries that only its scripts need."""
    package = "trainRNNbrain"
    if not (checkout / package / "trainer" / "Trainer.py").is_file():
        raise Unavailable("the checkout has no trainRNNbrain/trainer/Trainer.py")
    if str(checkout) not in sys.path:
        sys.path.append(str(checkout))
    missing = [n for n in UNUSED if importlib.util.find_spec(n.split(".")[0]) is None]
    sys.modules.update({name: mock.MagicMock() for name in missing})
    try:
        network, trainer = (
            importlib.import_module(f"{package}.{name}")
            for name in ("rnns.RNN_torch", "trainer.Trainer")
        )
    finally:
        for name in missing:
            del sys.modules[name]
    return network, trainer
