"""The GPU kernels on a GPU: whether they are right, and how long they take.

    python benchmarks/gpu_check.py [--quick] [--precision ieee]

First, for each activation and form, states, outputs and gradients of two networks against the
compiled equations in float64 on the CPU (autograd), as the largest difference relative to the
largest value; both networks draw noise. Then, for 1 and 64 networks of 100 units, 300 steps and 225
trials, milliseconds of a simulation and of its gradients, for several tiles, beside the plain torch
loop on the same device.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from models.engine import Cotangent, RecurrentNoise, Weights
from models.engine import simulate as simulate_plainly
from models.engine.backends import fused
from models.engine.philox import normals
from models.formulas.equations import Equation

SIMULATION = 7
TOLERANCE = 1e-4


def draw_networks(k: int, n: int, m: int, o: int) -> list[Tensor]:
    """Return W_rec, W_inp, W_out, b_rec and x_init of K networks in float64."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = [random(k, n, n) / n**0.5, random(k, n, m), random(k, o, n) / n**0.5]
    return [*weights, 0.3 * random(k, n), 0.3 * random(k, n)]


def reference(
    equation: Equation, parameters: list[Tensor], inputs: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Return states and outputs, differentiably, with the project's own equations."""
    W_rec, W_inp, W_out, b_rec, x_init = parameters
    x = x_init[:, None].expand(-1, inputs.shape[2], -1)
    states, outputs = [], []
    for t in range(inputs.shape[1]):
        states.append(x)
        outputs.append(equation.rates(x) @ W_out.transpose(1, 2))
        drive = inputs[:, t] @ W_inp.transpose(1, 2) + b_rec[:, None]

        def affine(v: Tensor, drive: Tensor = drive) -> Tensor:
            return v @ W_rec.transpose(1, 2) + drive

        field, _ = equation.field(x, affine, noise[:, t])
        x = x + equation.alpha * field
    return torch.stack(states, 1), torch.stack(outputs, 1)


def deviation(
    equation: Equation, n: int, n_steps: int, n_trials: int, precision: str, device: torch.device
) -> tuple[float, float, float]:
    """Return the largest relative differences of states, outputs and gradients."""
    k, m, o, n_adjoints = 2, 4, 2, 2
    parameters = draw_networks(k, n, m, o)
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(k, n_steps, n_trials, m, generator=generator, dtype=torch.float64)
    on_outputs = torch.randn(
        n_adjoints, k, n_steps, n_trials, o, generator=generator, dtype=torch.float64
    )
    on_states = torch.randn(
        n_adjoints, k, n_steps, n_trials, n, generator=generator, dtype=torch.float64
    )
    keys = torch.tensor([[1, 2], [3, 4294967295]])
    scales = torch.tensor([0.3, 0.1])
    # float32 values are what both sides start from.
    parameters = [p.float().double().requires_grad_() for p in parameters]
    inputs, on_outputs, on_states = (a.float().double() for a in (inputs, on_outputs, on_states))
    shape = (n_steps, n_trials, n)
    draws = normals(shape, keys.tolist(), SIMULATION, "rec", dtype=torch.float64)
    noise = scales.double()[:, None, None, None] * draws
    states, outputs = reference(equation, parameters, inputs, noise)
    on_gpu = [p.detach().float().to(device) for p in parameters]
    u = inputs.float().to(device)
    found_states, arguments, found_outputs = fused.forward(
        equation, *on_gpu, u, scales.to(device), keys.to(device), SIMULATION, precision=precision
    )
    found = fused.backward(
        equation, *on_gpu[:3], u, found_states, arguments,
        on_outputs.float().to(device), on_states.float().to(device), precision=precision,
    )  # fmt: skip

    def difference(one: Tensor, other: Tensor) -> float:
        other = other.detach()
        return float((one.cpu().double() - other).abs().max() / other.abs().max())

    worst = 0.0
    for a in range(n_adjoints):
        loss = (outputs * on_outputs[a]).sum() + (states * on_states[a]).sum()
        expected = torch.autograd.grad(loss, parameters, retain_graph=True)
        for one, other in zip(found, expected, strict=True):
            worst = max(worst, difference(one[a], other))
    return difference(found_states, states), difference(found_outputs, outputs), worst


def milliseconds(call: Callable[[], Any], rounds: int = 7) -> float:
    """Return the median time of a call, after two that compile and warm up."""
    times = []
    for _ in range(rounds + 2):
        torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times[2:])


def measure(k: int, precision: str, device: torch.device) -> None:
    """Print the times of K networks with each tile, and of the plain loop."""
    n, m, o, n_steps, n_trials = 100, 6, 2, 300, 225
    equation = Equation("relu", tau=10.0, sigma_rec=0.05)
    networks = [p.float().to(device) for p in draw_networks(k, n, m, o)]
    W_rec, W_inp, W_out = networks[:3]
    inputs = torch.rand(k, n_steps, n_trials, m, device=device)
    on_outputs = torch.randn(1, k, n_steps, n_trials, o, device=device)
    scales = torch.full((k,), 0.2, device=device)
    keys = torch.arange(2 * k, device=device).view(k, 2)
    chosen = fused.choose_tile(fused.Layout(n, m, o), k, n_trials, device)
    for rows, n_warps in ((2, 4), (4, 4), (8, 4), (16, 4), (16, 8), (32, 8)):
        tile = fused.Tile(rows, n_warps)

        def simulate(
            scales: Tensor | None = scales, tile: fused.Tile = tile
        ) -> tuple[Tensor, Tensor | None, Tensor]:
            return fused.forward(
                equation, *networks, inputs, scales, keys, 0, precision=precision, tile=tile
            )

        states, arguments, _ = simulate()

        def propagate(
            states: Tensor = states, arguments: Tensor | None = arguments, tile: fused.Tile = tile
        ) -> None:
            fused.backward(
                equation, W_rec, W_inp, W_out, inputs, states, arguments, on_outputs,
                precision=precision, tile=tile,
            )  # fmt: skip

        noisy, quiet = milliseconds(simulate), milliseconds(lambda run=simulate: run(None))
        mark = "  <- chosen" if tile == chosen else ""
        print(
            f"K {k:>3}  {rows:>2} trials, {n_warps} warps: forward {noisy:8.2f} ms "
            f"({quiet:.2f} without noise), backward {milliseconds(propagate):8.2f} ms{mark}"
        )
    weights, noise = Weights(*networks), RecurrentNoise([0.2] * k, keys.tolist(), 0)

    def plain() -> None:
        run = simulate_plainly(equation, weights, inputs, noise, back_end="plain")
        run.pull_back([Cotangent(on_outputs[0])])

    print(f"K {k:>3}  plain torch loop, forward and backward: {milliseconds(plain, 3):.2f} ms")


def main() -> None:
    """Check and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="check two equations only")
    parser.add_argument("--precision", default="ieee", choices=fused.PRECISIONS)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda":
        print(torch.cuda.get_device_name(device), "torch", torch.__version__)
    if not fused.is_available(100, torch.float32, device):
        raise SystemExit("the kernels are not available here: triton and a CUDA device are needed")
    failures = 0
    kinds = [("s", False), ("s", True), ("h", False)]
    cases = list(itertools.product(fused.ACTIVATIONS_WITH_CODE, kinds, (0.0, 0.1)))
    for number, (activation, (form, inside), gamma) in enumerate(
        cases[:2] if arguments.quick else cases
    ):
        equation = Equation(activation, form, tau=5.0, gamma=gamma, noise_inside=inside)
        n = (100, 17, 128, 50, 200)[number % 5]
        errors = deviation(equation, n, 21, 35, arguments.precision, device)
        is_right = max(errors) < TOLERANCE
        failures += not is_right
        print(
            f"{activation:<11} form {form} inside {inside!s:<5} gamma {gamma} N {n:>3}: "
            f"states {errors[0]:.1e}, outputs {errors[1]:.1e}, gradients {errors[2]:.1e}"
            f"{'' if is_right else '  WRONG'}"
        )
    if device.type == "cuda":
        for k in (1, 64):
            measure(k, arguments.precision, device)
    if failures:
        raise SystemExit(f"{failures} of the cases deviate by more than {TOLERANCE}")


if __name__ == "__main__":
    main()
