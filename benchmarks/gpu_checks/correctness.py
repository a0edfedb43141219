"""Whether the kernels compute what the equations say, and the same bits in any company."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.engine import Buffers, Cotangent, NetworkKind, RecurrentNoise, Weights, choose_back_end
from models.engine.backends import registry
from models.engine.backends.triton_launch import (
    ACTIVATIONS_WITH_CODE,
    PRECISIONS,
    products_in,
)
from models.engine.philox import normals
from models.engine.trajectory import Trajectory
from models.formulas.equations import Equation

from .results import Check

SIMULATION = 7
DEVIATION = 1e-5  # of the largest entry: float32 after some tens of steps
FORMS = (("s", False), ("s", True), ("h", False))
SIZES = (100, 17, 128, 50, 200, 257, 300, 1, 16)
TINY_SIZES = (5, 17, 16)


@dataclass(frozen=True)
class Case:
    """Networks to compare."""

    activation: str
    form: str
    inside: bool
    gamma: float
    n_units: int
    n_steps: int
    n_trials: int
    precision: str
    device: str

    @property
    def equation(self) -> Equation:
        """Their equation."""
        return Equation(
            self.activation, self.form, tau=5.0, gamma=self.gamma, noise_inside=self.inside
        )

    @property
    def back_end(self) -> str:
        """What runs them on the device; on a CPU the kernels, interpreted, where they can."""
        kind = NetworkKind(self.equation, self.n_units, torch.float32, torch.device(self.device))
        with products_in(self.precision):  # it counts in the choice
            if kind.device.type == "cpu":
                return next(
                    name for name in registry.BACK_ENDS
                    if name != "compiled" and registry.get(name).supports(kind) is None
                )  # fmt: skip
            return choose_back_end(kind).name


def draw_networks(k: int, n: int, m: int, o: int, seed: int = 0) -> Weights:
    """Return K networks whose values are those of float32, in float64."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    blocks = [random(k, n, n) / n**0.5, random(k, n, m), random(k, o, n) / n**0.5]
    blocks += [0.3 * random(k, n), 0.3 * random(k, n)]
    return Weights(*(b.float().double() for b in blocks))


def run_kernels(
    case: Case, weights: Weights, inputs: Tensor, noise: RecurrentNoise, arriving: Sequence[Any]
) -> tuple[Trajectory, list[Weights]]:
    """Run networks and go back, on the device in float32, by the kernels alone."""
    back_end = registry.get(case.back_end)

    def there(tensor: Tensor) -> Tensor:
        return tensor.detach().float().to(case.device)

    with products_in(case.precision):
        run = back_end.forward(
            case.equation, Weights(*map(there, weights)), there(inputs), noise, (), Buffers()
        )
        found = back_end.backward(run, [Cotangent(there(o), there(s)) for o, s in arriving])
    return run, found


def reference(
    equation: Equation, weights: Weights, inputs: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Return states and outputs, differentiably, with the project's own equations."""
    x = weights.x_init[:, None].expand(-1, inputs.shape[2], -1)
    states, outputs = [], []
    for t in range(inputs.shape[1]):
        states.append(x)
        outputs.append(equation.rates(x) @ weights.W_out.transpose(1, 2))
        drive = inputs[:, t] @ weights.W_inp.transpose(1, 2) + weights.b_rec[:, None]

        def affine(v: Tensor, drive: Tensor = drive) -> Tensor:
            return v @ weights.W_rec.transpose(1, 2) + drive

        field, _ = equation.field(x, affine, noise[:, t])
        x = x + equation.alpha * field
    return torch.stack(states, 1), torch.stack(outputs, 1)


def deviations(case: Case) -> tuple[float, float, float]:
    """Return the largest relative differences of states, outputs and gradients from float64."""
    k, m, o = 2, 4, 2
    n, shape = case.n_units, (case.n_steps, case.n_trials)
    weights = draw_networks(k, n, m, o)
    generator = torch.Generator().manual_seed(1)

    def random(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator, dtype=torch.float64).float().double()

    inputs = random(k, *shape, m)
    arriving = [(random(k, *shape, o), random(k, *shape, n)) for _ in range(2)]
    noise = RecurrentNoise([0.3, 0.1], [(1, 2), (3, 4294967295)], SIMULATION)
    draws = normals((*shape, n), noise.keys, SIMULATION, "rec", dtype=torch.float64)
    draws = torch.tensor(noise.scales, dtype=torch.float64)[:, None, None, None] * draws
    run, found = run_kernels(case, weights, inputs, noise, arriving)
    tracked = [w.requires_grad_() for w in weights]
    states, outputs = reference(case.equation, weights, inputs, draws)

    def difference(one: Tensor, other: Tensor) -> float:
        other = other.detach()
        largest = max(float(other.abs().max()), 1e-30)
        return float((one.cpu().double() - other).abs().max()) / largest

    worst = 0.0
    for (on_outputs, on_states), gradients in zip(arriving, found, strict=True):
        loss = (outputs * on_outputs).sum() + (states * on_states).sum()
        expected = torch.autograd.grad(loss, tracked, retain_graph=True, allow_unused=True)
        for one, other in zip(gradients, expected, strict=True):
            worst = max(worst, 0.0 if other is None else difference(one, other))
    return difference(run.states, states), difference(run.outputs, outputs), worst


def cases(check: Check) -> Iterator[Case]:
    """Return all activations, forms, places of noise, with and without damping; sizes in turn."""
    sizes = TINY_SIZES if check.tiny else SIZES
    kinds = list(itertools.product(ACTIVATIONS_WITH_CODE, FORMS, (0.0, 0.1)))
    if check.tiny:
        kinds = kinds[::7]
    for number, (activation, (form, inside), gamma) in enumerate(kinds):
        n = sizes[number % len(sizes)]
        n_steps, n_trials = (3, 3) if check.tiny else (21, 35)
        yield Case(activation, form, inside, gamma, n, n_steps, n_trials, check.precision,
                   check.device)  # fmt: skip


def check_equations(check: Check) -> None:
    """Compare all of them; processes side by side, since compiling is what takes the time."""
    all_cases = list(cases(check))
    if check.jobs > 1:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(check.jobs, mp_context=context) as pool:
            found = list(pool.map(deviations, all_cases, chunksize=2))
    else:
        found = [deviations(case) for case in all_cases]
    # NaN is the largest of all.
    each = np.nan_to_num(np.array(found), nan=np.inf)
    for column, name in enumerate(("states", "outputs", "gradients")):
        case = all_cases[int(each[:, column].argmax())]
        at = f"{len(all_cases)} cases; the worst: {case.activation}, form {case.form}, "
        at += f"inside {case.inside}, gamma {case.gamma}, N {case.n_units}, {case.back_end}"
        check.add(f"{name} against float64", each[:, column].max(), "", DEVIATION, note=at)


def check_split_products(check: Check) -> None:
    """Compare gradients by products in parts with those of IEEE float32, after many steps."""
    n, n_steps, n_trials = (16, 6, 4) if check.tiny else (100, 300, 64)
    activations = ACTIVATIONS_WITH_CODE[:1] if check.tiny else ACTIVATIONS_WITH_CODE
    for steps in (2, n_steps):
        worst = -1.0, ""
        for activation, form in itertools.product(activations, ("s", "h")):
            errors = {
                precision: _gradient_error(
                    Case(activation, form, False, 0.0, n, steps, n_trials, precision, check.device)
                )
                for precision in PRECISIONS
            }
            ratio = errors["bf16x6"] / max(errors["ieee"], 1e-9)
            note = f"worst: {activation}, form {form}: {errors['bf16x6']:.1e} and "
            worst = max(worst, (ratio, note + f"{errors['ieee']:.1e}"))
        ratio, note = worst
        what = f"bf16x6: error of gradients by that of IEEE, {steps} steps"
        check.add(what, ratio, "times", 2.0, note=note)


def _gradient_error(case: Case) -> float:
    """Return the error of the gradients, root mean square relative to theirs, without noise."""
    weights = draw_networks(2, case.n_units, 4, 2)
    generator = torch.Generator().manual_seed(1)
    inputs, outputs, states = (
        torch.randn(2, case.n_steps, case.n_trials, c, generator=generator).double()
        for c in (4, 2, case.n_units)
    )
    noise = RecurrentNoise([0.0, 0.0], [(1, 2), (3, 4)], SIMULATION)
    _, (found,) = run_kernels(case, weights, inputs, noise, [(outputs, states)])
    exact = registry.PLAIN
    on_device = [t.to(case.device) for t in (inputs, outputs, states)]
    run = exact.forward(
        case.equation, Weights(*(w.detach().to(case.device) for w in weights)), on_device[0],
        noise, (), Buffers(),
    )  # fmt: skip
    (wanted,) = exact.backward(run, [Cotangent(on_device[1], on_device[2])])
    squares = [
        (float((a.double() - b).square().sum()), float(b.square().sum()))
        for a, b in zip(found, wanted, strict=True)
    ]
    return max((error / max(whole, 1e-30)) ** 0.5 for error, whole in squares)


def _digest(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def check_bits(check: Check) -> None:
    """Hash what a network gets alone, among 3 and among 64, by the kernels."""
    sizes = (5, 17) if check.tiny else (100, 257)
    numbers = (1, 2, 3) if check.tiny else (1, 3, 64)
    n_steps, n_trials = (3, 5) if check.tiny else (50, 225)
    for n in sizes:
        most = max(numbers)
        case = Case("tanh", "s", False, 0.0, n, n_steps, n_trials, check.precision, check.device)
        weights = draw_networks(most, n, 4, 2)
        generator = torch.Generator().manual_seed(1)
        inputs, outputs, states = (
            torch.randn(most, n_steps, n_trials, c, generator=generator) for c in (4, 2, n)
        )
        hashes = {}
        for k in numbers:
            noise = RecurrentNoise([0.3] * k, [(i, i + 1) for i in range(k)], SIMULATION)
            own = Weights(*(w[:k] for w in weights))
            run, (found,) = run_kernels(case, own, inputs[:k], noise, [(outputs[:k], states[:k])])
            hashes[k] = _digest(run.states[0], run.outputs[0], *(g[0] for g in found))
        check.add(f"N {n}: different bits of one network alone and among {numbers[1:]}, by "
                  f"{case.back_end}", len(set(hashes.values())) - 1, "", 0.0)  # fmt: skip
