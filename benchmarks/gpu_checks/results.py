"""What a check found: one line a result, with its goal, and the parts that were run."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Line:
    """One result.

    Attributes
    ----------
    part : str
        The part that it is of.
    what : str
    value : float
    unit : str
    goal : float, optional
        At most so much, or at least, as ``at_least`` says; None: for information.
    note : str
        Where the time goes, or beside what it was measured.
    """

    part: str
    what: str
    value: float
    unit: str = ""
    goal: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """``met`` or ``missed``; empty without a goal. What is not a number is missed."""
        if self.goal is None:
            return ""
        good = self.value >= self.goal if self.at_least else self.value <= self.goal
        return "met" if good else "missed"

    @property
    def text(self) -> str:
        """The line as it is printed."""
        amount = f"{self.value:.3g} {self.unit}".rstrip()
        if self.goal is not None:
            sign = "≥" if self.at_least else "≤"
            amount += f" (goal {sign} {self.goal:.3g} {self.unit}".rstrip() + ")"
        note = f"  [{self.note}]" if self.note else ""
        return f"{self.verdict:6s}  {self.what}: {amount}{note}"


@dataclass(frozen=True)
class Part:
    """A part of the check.

    Attributes
    ----------
    name : str
    run : callable
        Given the check; it adds lines by `Check.add`.
    seconds : float
        About what it takes on a GPU: with less left than that it is not begun.
    """

    name: str
    run: Callable[[Check], None]
    seconds: float


@dataclass
class Check:
    """A check that is under way.

    Attributes
    ----------
    device : str
    tiny : bool
        Sizes that take no time, for a test of the check itself: figures say nothing.
    seconds : float
        The time that it may take.
    precision : str
        Of the kernels' products.
    seed_trainer : path, optional
        A checkout of trainRNNbrain.
    jobs : int
        Processes that compile kernels side by side.
    lines : list of Line
    parts : list of dict
        ``name``, ``seconds``, ``status`` ("done", "failed" or "not run"), ``error``.
    """

    device: str
    tiny: bool
    seconds: float
    precision: str = "ieee"
    seed_trainer: Any = None
    jobs: int = 1
    write: Callable[[str], None] = print
    lines: list[Line] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    shared: dict[str, Any] = field(default_factory=dict)  # what a part leaves for later ones
    _began: float = field(default_factory=time.monotonic)
    _part: str = ""

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.monotonic() - self._began)

    def add(self, what: str, value: float, unit: str = "", goal: float | None = None,
            at_least: bool = False, note: str = "") -> None:  # fmt: skip
        """Add a result and print it."""
        line = Line(self._part, what, float(value), unit, goal, at_least, note)
        self.lines.append(line)
        self.write(line.text)

    def run(self, parts: Sequence[Part]) -> None:
        """Run the parts in order; one that fails prints its error, and the others go on."""
        for part in parts:
            done = {"name": part.name, "seconds": 0.0, "status": "not run", "error": ""}
            self.parts.append(done)
            if self.left < part.seconds and not self.tiny:
                done["error"] = f"{self.left:.0f} s were left, and it takes about {part.seconds:g}"
                self.write(f"not run {part.name}: {done['error']}")
                continue
            self._part = part.name
            self.write(f"-- {part.name}")
            began = time.monotonic()
            try:
                part.run(self)
                done["status"] = "done"
            except Exception as error:
                done["status"] = "failed"
                done["error"] = _in_a_line(error)
                self.write(f"failed  {part.name}: {done['error']}")
            finally:
                done["seconds"] = time.monotonic() - began
                self.free()

    def free(self) -> None:
        """Give back the memory that the last part held on the device."""
        import gc

        import torch

        gc.collect()
        if self.on_gpu:
            torch.cuda.empty_cache()

    @property
    def on_gpu(self) -> bool:
        """Whether the device is one."""
        return self.device.startswith("cuda")

    @property
    def n_failed(self) -> int:
        """Parts that failed."""
        return sum(part["status"] == "failed" for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Return lines and parts, JSON-able."""
        return {
            "lines": [{**asdict(line), "verdict": line.verdict} for line in self.lines],
            "parts": self.parts,
        }


def _in_a_line(error: Exception) -> str:
    """Return an error's kind, its first line, and where it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno})" if frames else ""
    first = (str(error).strip().splitlines() or [""])[0][:300]
    return f"{type(error).__name__}: {first}{place}"


def markdown(found: dict[str, Any]) -> list[str]:
    """Return the results of a check as a table, and what was not run, line by line."""
    lines = [
        "### The check of the GPU",
        "",
        f"`{found['command']}`, {found['seconds']:.0f} s; {found['versions']}; code "
        f"{found['code']}.",
        "",
        "| | found | goal | |",
        "|---|---|---|---|",
    ]
    for line in found["lines"]:
        sign = "≥" if line["at_least"] else "≤"
        goal = "" if line["goal"] is None else f"{sign} {line['goal']:.3g} {line['unit']}"
        amount = f"{line['value']:.3g} {line['unit']}".strip()
        note = f" ({line['note']})" if line["note"] else ""
        lines.append(f"| {line['what']}{note} | {amount} | {goal.strip()} | {line['verdict']} |")
    left = [part for part in found["parts"] if part["status"] != "done"]
    lines += [""] + [f"- {p['name']}: {p['status']}: {p['error']}" for p in left]
    return lines
