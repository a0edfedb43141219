"""The same step in JAX: `jit` of a `scan` over time, `vmap` over networks."""

from __future__ import annotations

import os
from math import log
from typing import Any

from .peers import Peer, Unavailable
from .problem import (
    ALPHA,
    BLOCKS,
    MAX_GRAD_NORM,
    NEARLY_ZERO,
    RATE_POWER,
    RATE_TAU,
    RATE_WEIGHT,
    SPARSITY_WEIGHT,
    TARGET_DEGREE,
    WEIGHT_DECAY,
    Arrays,
    existing,
)

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
GENERATOR = "rbg"  # a little faster on a CPU than "threefry2x32"


class Jax(Peer):
    """JAX, where it is installed."""

    name = "jax"
    work = (
        "JAX: one `jit` of the whole step, `lax.scan` over time, `vmap` over networks; the same "
        "draws as ours, from JAX's own generator; Adam in a few lines; compilation not counted"
    )
    buffers = 10

    def prepare(self) -> None:
        """Move everything to the device, and wrap the step; it compiles when first called."""
        # All libraries share a GPU's memory here: none may take most of it from the start.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        try:
            import jax
            import jax.numpy as jnp
        except ImportError as error:
            raise Unavailable("JAX is not installed") from error
        problem = self.problem
        try:
            device = jax.devices("gpu" if problem.device.startswith("cuda") else "cpu")[0]
        except RuntimeError as error:
            raise Unavailable(f"this JAX has no {problem.device}") from error
        self._jax = jax
        jax.config.update("jax_default_matmul_precision", "float32")

        def put(array: Any) -> Any:
            return jax.device_put(jnp.asarray(array), device)

        self._masks = {k: put(problem.masks[k]) for k in BLOCKS}
        self._signs = {k: put(problem.signs[k]) for k in BLOCKS}
        self._inputs, self._targets = (put(a.transpose(1, 2, 0)) for a in problem.batch)
        self._steps = put(problem.task().mask)
        weights = {k: put(problem.weights[k]) for k in BLOCKS}
        zeros = {k: put(jnp.zeros_like(w)) for k, w in weights.items()}
        key = put(jax.random.key(0, impl=GENERATOR))
        self._state = (weights, zeros, jax.tree.map(jnp.copy, zeros), put(0), key)
        self._step = jax.jit(self._whole_step, donate_argnums=0)

    def _terms(self, w: dict[str, Any], key: Any, noise: bool) -> Any:
        """Return the terms of one network's loss that depend on its states."""
        jax, jnp, problem = self._jax, self._jax.numpy, self.problem
        scales, (k_inp, k_rec, k_out) = problem.noise_scales(), jax.random.split(key, 3)
        u = self._inputs
        if noise:
            u = u + scales["inp"] * jax.random.normal(k_inp, u.shape)
        drive = u @ w["W_inp"].T
        if noise:
            drive = drive + scales["rec"] * jax.random.normal(k_rec, drive.shape)

        def advance(x: Any, step: Any) -> Any:
            return x + ALPHA * (jax.nn.relu(x) @ w["W_rec"].T + step - x), x

        _, states = jax.lax.scan(advance, jnp.zeros_like(drive[0]), drive)
        rates = jax.nn.relu(states)
        read = rates + scales["out"] * jax.random.normal(k_out, rates.shape) if noise else rates
        error = (read @ w["W_out"].T - self._targets)[self._steps]
        task = jnp.square(error).mean()
        if not problem.penalised:
            return task
        cap, samples = problem.rate_cap, rates[..., 0].size
        pooled = jax.nn.logsumexp(rates / RATE_TAU, axis=(0, 1)) - log(samples)
        peak = RATE_TAU * pooled
        off = (jax.nn.relu(peak - cap) / cap) ** RATE_POWER
        off = off + (jax.nn.relu(cap - peak) / cap) ** RATE_POWER
        return jnp.stack([task, RATE_WEIGHT * off.mean()])

    def _sparsity(self, w_rec: Any) -> Any:
        jax, jnp = self._jax, self._jax.numpy
        support = jnp.square(jnp.abs(w_rec).sum(1)) / (jnp.square(w_rec).sum(1) + 1e-12)
        over = jnp.square(jax.nn.relu(support - TARGET_DEGREE)).mean() / TARGET_DEGREE**2
        return SPARSITY_WEIGHT * over

    def _network_gradients(self, w: dict[str, Any], key: Any, noise: bool, safe: bool) -> Any:
        """Return one network's gradients, and its norms of each term's where there are several."""
        jax, jnp = self._jax, self._jax.numpy
        if not self.problem.penalised:
            grads = jax.grad(self._terms)(w, key, noise)
            return {k: g * self._masks[k] for k, g in grads.items()}, jnp.zeros(())
        # Both adjoints in one scan, the forward pass once.
        _, pull = jax.vjp(lambda weights: self._terms(weights, key, noise), w)
        (pulled,) = jax.vmap(pull)(jnp.eye(2))
        pulled = {k: g * self._masks[k] for k, g in pulled.items()}
        task, rates = ({k: g[i] for k, g in pulled.items()} for i in (0, 1))
        sparse = {k: jnp.zeros_like(g) for k, g in task.items()}
        sparse["W_rec"] = jax.grad(self._sparsity)(w["W_rec"]) * self._masks["W_rec"]
        norms = jnp.sqrt(jnp.stack([_product(g, g) for g in (task, rates, sparse)]))
        penalty = {k: rates[k] + sparse[k] for k in BLOCKS}
        inner = _product(penalty, task)
        share = safe * jnp.where(inner < 0, inner / _product(task, task), 0.0)
        return {k: task[k] + penalty[k] - share * task[k] for k in BLOCKS}, norms

    def _whole_step(self, state: Any) -> Any:
        jax, jnp, problem = self._jax, self._jax.numpy, self.problem
        weights, first, second, count, key = state
        key, *keys = jax.random.split(key, 1 + problem.n_networks)
        each = jax.vmap(lambda w, k: self._network_gradients(w, k, noise=True, safe=True))
        grads, norms = each(weights, jnp.stack(keys))
        total = jnp.sqrt(sum(jnp.square(g).sum((1, 2)) for g in grads.values()))
        scale = jnp.minimum(MAX_GRAD_NORM / total, 1.0).reshape(-1, 1, 1)
        count = count + 1
        new: tuple[dict[str, Any], ...] = ({}, {}, {})
        for k, w in weights.items():
            g = grads[k] * scale + WEIGHT_DECAY * w
            m = (BETA_1 * first[k] + (1 - BETA_1) * g) * self._masks[k]
            v = (BETA_2 * second[k] + (1 - BETA_2) * g * g) * self._masks[k]
            root = jnp.sqrt(v / (1 - BETA_2**count)) + EPSILON
            w = w - problem.learning_rate * (m / (1 - BETA_1**count)) / root
            sign = self._signs[k]
            w = jnp.where(w * sign < NEARLY_ZERO, sign * NEARLY_ZERO, w) * self._masks[k]
            new[0][k], new[1][k], new[2][k] = w, m, v
        return (*new, count, key), norms

    def gradients(self, safe: bool) -> Arrays:
        """Take the gradients once without noise."""
        jax, jnp = self._jax, self._jax.numpy
        keys = jax.random.split(self._state[-1], self.problem.n_networks)

        def one(w: Any, key: Any) -> Any:
            return self._network_gradients(w, key, noise=False, safe=safe)[0]

        grads = jax.jit(jax.vmap(one))({k: jnp.asarray(w) for k, w in self._state[0].items()}, keys)
        return existing(grads, self.problem)

    def step(self) -> None:
        """Do one step, to its end."""
        self._state, self.monitor = self._step(self._state)
        self._jax.block_until_ready(self._state[:4])


def _product(a: dict[str, Any], b: dict[str, Any]) -> Any:
    return sum((a[k] * b[k]).sum() for k in BLOCKS)
