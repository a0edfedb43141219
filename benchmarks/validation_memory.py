"""What the validation of a large network takes: seconds, and memory at its peak.

    python benchmarks/validation_memory.py [--cases cddm_500 xor_1000] [--states]

Each case is `PerformanceAnalyzer.validate` with noise, five batches of the task, of one network
that was drawn and not trained, in a process of its own. The peak is that of the process
(``resource.getrusage``) beyond what it had before; ``--states`` adds what simulating the same
trials with all states kept (`RNNNumpy.run`) takes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

SIGMAS = {"sigma_rec": 0.05, "sigma_inp": 0.05, "sigma_out": 0.03}
N_REPEATS = 5
CASES = {
    "cddm_100": ("CDDM", 100),
    "cddm_500": ("CDDM", 500),
    "cddm_1000": ("CDDM", 1000),
    "xor_1000": ("XOR", 1000),
}


def peak_bytes() -> int:
    """Return the most memory that this process has had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(case: str, with_states: bool) -> dict[str, Any]:
    """Validate one network in this process."""
    import numpy as np

    from models import NetworkConfig, PerformanceAnalyzer, RNNTorch
    from tasks_lib.registry import task_class

    name, n_units = CASES[case]
    task = task_class(name)(seed=0)
    config = NetworkConfig(n_units=n_units, equation_type="h", **SIGMAS)
    rnn = RNNTorch.from_config(config, task.n_inputs, task.n_outputs, seed=0).to_numpy()
    small = NetworkConfig(n_units=2, equation_type="h", **SIGMAS)
    first = RNNTorch.from_config(small, task.n_inputs, task.n_outputs, seed=0).to_numpy()
    PerformanceAnalyzer(first, task).validate(noise=True)  # compiles, or loads what was compiled
    before, began = peak_bytes(), time.perf_counter()
    if with_states:
        task.reset()
        batches = [task.get_batch()[0] for _ in range(N_REPEATS)]
        rnn.run(np.concatenate(batches, axis=2), noise=True)
        n_trials, n_steps = sum(b.shape[2] for b in batches), batches[0].shape[1]
    else:
        scores = PerformanceAnalyzer(rnn, task).validate(noise=True, n_repeats=N_REPEATS)
        n_trials, n_steps = scores.n_trials, task.n_steps
    return {
        "case": case,
        "states": with_states,
        "n_trials": n_trials,
        "n_steps": n_steps,
        "seconds": time.perf_counter() - began,
        "peak_bytes": peak_bytes(),
        "more_bytes": peak_bytes() - before,
    }


def main() -> None:
    """Measure each case in a process of its own and print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--states", action="store_true", help="with all states kept, too")
    parser.add_argument("--here", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.here[0], options.here[1] == "True")))
        return
    for case in options.cases:
        for with_states in (False, True) if options.states else (False,):
            command = [sys.executable, __file__, "--here", case, str(with_states)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{case}: failed: {(done.stderr.strip().splitlines() or ['killed'])[-1]}")
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            what = "run with all states" if with_states else "validation"
            print(
                f"{case:9s} {what:19s}: {found['n_trials']} trials of {found['n_steps']} steps, "
                f"{found['seconds']:.1f} s, peak {found['peak_bytes'] / 1e9:.2f} GB, of which "
                f"{found['more_bytes'] / 1e9:.2f} GB for it",
                flush=True,
            )


if __name__ == "__main__":
    main()
