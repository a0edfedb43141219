"""An iteration as CUDA graphs: launched once as a whole, and not kernel by kernel from Python.

A graph repeats the kernels that were launched while it was captured, on the memory that they had
then. So whatever changes from one iteration to the next lies in memory that stays in its place, and
nothing in between waits for the device.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

# Iterations before the capture: libraries make their handles, and back ends choose and compile.
WARM_UP = 3


class Graphs(Protocol):
    """What captures functions, and repeats what they did."""

    def warm_up(self, function: Callable[[], None]) -> None:
        """Run a function as it will be captured."""

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Return what repeats a function on the same memory; it is not run by this."""


class CudaGraphs:
    """CUDA graphs that share one pool of memory.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool: Any = None

    def warm_up(self, function: Callable[[], None]) -> None:
        """Run a function on the stream on which it will be captured."""
        with torch.cuda.device(self.device):
            now = torch.cuda.current_stream()
            self._stream.wait_stream(now)
            with torch.cuda.stream(self._stream):
                function()
            now.wait_stream(self._stream)

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Return the replay of the graph of a function."""
        graph = torch.cuda.CUDAGraph()
        captured = torch.cuda.graph(graph, pool=self._pool, stream=self._stream)
        with torch.cuda.device(self.device), captured:
            function()
        self._pool = graph.pool()
        replay: Callable[[], None] = graph.replay
        return replay


@dataclass(frozen=True)
class Part:
    """A part of an iteration.

    Attributes
    ----------
    run : callable
        Does it; it takes and returns nothing.
    outside : callable, optional
        Does it outside of any graph, and puts what comes of it where `prepare` says that it is.
        None where the part cannot be taken out of the graph.
    prepare : callable, optional
        Makes the parts that follow, when they are captured, look where ``outside`` puts it.
    says : str
        What it is, for the warning that it runs outside.
    """

    run: Callable[[], None]
    outside: Callable[[], None] | None = None
    prepare: Callable[[], None] | None = None
    says: str = ""


class CapturedIteration:
    """Runs the parts of an iteration one after the other, from graphs as soon as it can.

    Where the whole cannot be captured, a part that can do without is left outside; where that does
    not help, there are no graphs, and the parts run as they are. A warning says either, once.

    Parameters
    ----------
    parts : sequence of Part
    graphs : Graphs or None
        None: there are none from the beginning.
    release : callable, optional
        Lets go of what the iterations before hold, so that graphs have its memory.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        graphs: Graphs | None,
        release: Callable[[], None] | None = None,
    ) -> None:
        self.parts = list(parts)
        self.graphs = graphs
        self._release = release
        self._n_warm = 0
        self._steps: list[Callable[[], None]] | None = None

    @property
    def is_captured(self) -> bool:
        """Whether graphs are there."""
        return self._steps is not None

    def run(self) -> None:
        """Do one iteration."""
        if self._steps is None and self.graphs is not None:
            if self._n_warm < WARM_UP:
                self._n_warm += 1
                self.graphs.warm_up(self.run_plainly)
                return
            self._capture(self.graphs)
        if self._steps is None:
            self.run_plainly()
        else:
            for step in self._steps:
                step()

    def run_plainly(self) -> None:
        """Do one iteration without graphs."""
        for part in self.parts:
            part.run()

    def forget(self) -> None:
        """Have graphs captured anew: what they hold lies elsewhere."""
        self._steps, self._n_warm = None, 0

    def _capture(self, graphs: Graphs) -> None:
        if self._release is not None:
            self._release()
        try:
            self._steps = [graphs.capture(self.run_plainly)]
            return
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # CUDA and libraries refuse in many ways
            first = error
        outside = [part for part in self.parts if part.outside is not None]
        if outside:
            try:
                self._steps = self._around(graphs)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                first = error
            else:
                _tell(
                    f"{' and '.join(part.says for part in outside)} cannot be part of a CUDA graph "
                    f"({_line(first)}), and run outside of it."
                )
                return
        self.graphs = None
        _tell(
            f"An iteration cannot be captured as a CUDA graph ({_line(first)}). "
            "It is launched kernel by kernel, more slowly."
        )

    def _around(self, graphs: Graphs) -> list[Callable[[], None]]:
        """Return graphs of the parts between those that run outside, and those."""
        steps: list[Callable[[], None]] = []
        together: list[Callable[[], None]] = []

        def close() -> None:
            runs = tuple(together)
            together.clear()
            if runs:

                def run_all() -> None:
                    for run in runs:
                        run()

                steps.append(graphs.capture(run_all))

        for part in self.parts:
            if part.outside is None:
                together.append(part.run)
                continue
            close()
            if part.prepare is not None:
                part.prepare()
            steps.append(part.outside)
        close()
        return steps


_TOLD: set[str] = set()


def _tell(problem: str) -> None:
    if problem not in _TOLD:
        _TOLD.add(problem)
        warnings.warn(problem, stacklevel=4)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
