"""Everything that only a GPU can tell, in one command of less than eight minutes.

    python benchmarks/gpu_check.py [--seed-trainer PATH] [--write benchmarks/engine.md]

Python, torch, Triton, Numba, NumPy and SciPy are enough. One line a result, with its goal and
whether it was ``met`` or ``missed``: whether the kernels compute what the equations say, for every
activation, form, place of noise and many sizes; whether a network has the same bits in any company;
whole training steps against the goals, beside the textbook loop, that loop compiled, cuDNN's nn.RNN
and the trainer of a checkout of trainRNNbrain; launches, waits, memory; fixed points. A part that
fails prints its error and the others go on; what ``--seconds`` (480) do not allow is ``not run``.

``--write`` puts the results into the page under the name of the card, and its data beside it;
``--json`` is a file of them alone, from which ``--from`` writes the page on another machine.
``--tiny`` passes through all of it on a CPU, the kernels interpreted: its figures say nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
if "--tiny" in sys.argv:
    os.environ["TRITON_INTERPRET"] = "1"  # Triton reads it when it is imported

from gpu_checks import bare  # noqa: E402

MISSING = bare.fill_in()

from gpu_checks.results import Check, Part  # noqa: E402

RESERVE = 5.0  # seconds for writing


def parts_of(check: Check) -> list[Part]:
    """Return all parts, the ones that tell most first."""
    from engine_benchmark.peers import Compiled, Loop
    from gpu_checks import correctness, others, steps

    on = [
        Part("equations", correctness.check_equations, 90),
        Part("bits of the kernels", correctness.check_bits, 20),
        *(steps.step_part(*case) for case in steps.CASES),
        *(
            steps.peer_part(n, 225, 1, mode, "loop", Loop, 1.0)
            for n, mode in ((100, "bare"), (100, "penalties"), (1000, "bare"))
        ),
        steps.cudnn_part(100, 225),
        steps.cudnn_part(1000, 225),
        Part("bits of a training", steps.check_training_bits, 20),
        *(steps.cliff_part(*pair) for pair in steps.CLIFFS),
        Part("split products", correctness.check_split_products, 40),
        Part("memory of a large training", steps.check_largest, 25),
        Part("draws", others.check_draws, 5),
        Part("products", others.check_products, 60),
        Part("whole loops and single steps", others.check_regimes, 45),
        Part("fixed points", others.check_fixed_points, 25),
        Part("tiles", others.check_tiles, 40),
    ]
    if check.seed_trainer is not None:
        on += [
            steps.peer_part(100, 225, k, mode, "seed's trainer", steps.Seed, goal)
            for k, mode, goal in ((64, "bare", 2000.0), (64, "penalties", 2000.0), (1, "bare", 1.0))
        ]
    on += [
        steps.peer_part(n, 225, 1, mode, "torch.compile", Compiled, 1.0)
        for n, mode in ((100, "bare"), (100, "penalties"), (1000, "bare"))
    ]
    return on


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=480.0, help="that it may take")
    parser.add_argument("--device", help="cuda by default")
    parser.add_argument("--precision", default="ieee", choices=("ieee", "bf16x6"),
                        help="of the kernels' products")  # fmt: skip
    parser.add_argument("--seed-trainer", type=Path, help="a checkout of trainRNNbrain")
    parser.add_argument("--only", nargs="+", default=[], help="parts whose name has one of these")
    parser.add_argument("--jobs", type=int, help="processes that compile side by side")
    parser.add_argument("--tiny", action="store_true", help="pass through all of it on a CPU")
    parser.add_argument("--write", type=Path, help="the page")
    parser.add_argument("--json", type=Path, default=Path("gpu_check.json"))
    parser.add_argument("--from", dest="source", type=Path, help="write the page from this file")
    options = parser.parse_args(argv)
    if options.write is not None and options.write.with_suffix(".json") == options.json:
        parser.error(f"--json {options.json}: the page's own data go there; give another file")
    # Before minutes of a GPU are spent.
    for name, file in (("--json", options.json), ("--write", options.write)):
        if file is not None and not file.parent.is_dir():
            parser.error(f"{name} {file}: there is no folder {file.parent}")
    for name, source in (("--from", options.source), ("--seed-trainer", options.seed_trainer)):
        if source is not None and not source.exists():
            parser.error(f"{name} {source}: does not exist")
    options.command = command(argv if argv is not None else sys.argv[1:])
    return options


def command(argv: Sequence[str]) -> str:
    """Return the command as others would type it: where files lie is of no interest."""
    words = list(argv)
    for i, word in enumerate(words[1:], start=1):
        if words[i - 1] == "--seed-trainer":
            words[i] = "PATH"
        elif words[i - 1] in ("--write", "--json", "--from") and Path(word).is_absolute():
            words[i] = Path(word).name
    return shlex.join(["python", "benchmarks/gpu_check.py", *words])


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Run the parts; return what was found, JSON-able."""
    began = time.monotonic()
    import torch
    from engine_benchmark.device import code_version, device_name, versions

    device = options.device or ("cpu" if options.tiny else "cuda")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("error: device = cuda: there is none here; with --tiny a CPU passes "
                         "through the check")  # fmt: skip
    jobs = options.jobs or (1 if options.tiny else max(1, min(6, (os.cpu_count() or 2) // 2)))
    check = Check(
        device, options.tiny, options.seconds - RESERVE, options.precision, options.seed_trainer,
        jobs, write=lambda text: print(text, flush=True),
    )  # fmt: skip
    packages = versions()
    try:
        import triton

        packages["triton"] = triton.__version__
    except ImportError:
        packages["triton"] = "none"
    named = ", ".join(f"{name} {number}" for name, number in packages.items())
    print(f"{device_name(device)}: {named}")
    if MISSING:
        print(f"not installed, replaced by stand-ins: {', '.join(MISSING)}")
    wanted = [
        part for part in parts_of(check)
        if not options.only or any(word in part.name for word in options.only)
    ]  # fmt: skip
    if not wanted:
        names = "; ".join(part.name for part in parts_of(check))
        raise SystemExit(f"error: --only {' '.join(options.only)}: in no part's name; they are "
                         f"{names}")  # fmt: skip
    check.run(wanted)
    verdicts = [line.verdict for line in check.lines]
    unrun = sum(part["status"] == "not run" for part in check.parts)
    print(
        f"{verdicts.count('met')} met, {verdicts.count('missed')} missed, {check.n_failed} parts "
        f"failed, {unrun} not run, {time.monotonic() - began:.0f} s"
    )
    return {
        "card": device_name(device),
        "device": device,
        "versions": named,
        "code": code_version(),
        "command": options.command,
        "seconds": time.monotonic() - began,
        **check.to_dict(),
    }


def write_page(page: Path, found: dict[str, Any]) -> None:
    """Put the results into the page and its JSON file, under the name of the card."""
    from engine import SIDES
    from engine_benchmark import page as pages

    label = pages.label_of(found["device"], found["card"], 1)
    sections = pages.read(page.with_suffix(".json"))
    sections[label] = {**sections.get(label, {}), "check": found}
    there = {name for s in sections.values() for c in s.get("cells", ()) for name in c["peers"]}
    pages.write(page, sections, [side for side in SIDES if side.name in there])


def main(argv: Sequence[str] | None = None) -> int:
    """Check, print, write; the exit status is 1 where a part failed."""
    options = options_of(argv)
    if options.source is not None:
        found = json.loads(options.source.read_text(encoding="utf-8"))
    else:
        found = measured(options)
        text = json.dumps(found, indent=1) + "\n"
        options.json.write_text(text, encoding="utf-8")
        print(f"wrote {options.json}")
    if options.write is not None:
        write_page(options.write, found)
        print(f"wrote {options.write}")
    return int(any(part["status"] == "failed" for part in found["parts"]))


if __name__ == "__main__":
    sys.exit(main())
