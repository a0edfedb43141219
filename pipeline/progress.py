"""Progress bars of long computations, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

from tqdm.auto import tqdm

quiet: ContextVar[bool] = ContextVar("quiet", default=False)


def _bar(title: str, unit: str) -> tqdm[NoReturn]:
    # Not disable=False: that would override tqdm's own TQDM_DISABLE.
    silent: dict[str, Any] = {"disable": True} if quiet.get() else {}
    return tqdm(desc=title, unit=unit, leave=False, mininterval=0.2, dynamic_ncols=True, **silent)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int, float], None]]:
    """Show a bar; yields a function ``report(step, n_steps, loss)`` that moves it."""
    bar = _bar(title, "it")

    def report(step: int, n_steps: int, loss: float) -> None:
        bar.total = n_steps
        # Bound refreshes: reading the loss each iteration is cheap, drawing is not.
        if bar.update(step - bar.n):
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)

    try:
        yield report
    finally:
        bar.close()


@contextmanager
def file_bar(title: str, unit: str = "file") -> Iterator[Callable[[int, int], None]]:
    """Show a bar of files, or of others; yields ``report(n_done, n_files)`` that moves it."""
    bar = _bar(title, unit)

    def report(n_done: int, n_files: int) -> None:
        bar.total = n_files
        bar.update(n_done - bar.n)

    try:
        yield report
    finally:
        bar.close()


class TableBar:
    """A bar of the jobs of one table after the other.

    Parameters
    ----------
    shown : bool
        Whether there is one.
    """

    def __init__(self, shown: bool) -> None:
        self.title = ""
        self._shown = shown and not quiet.get()
        self._bar: tqdm[NoReturn] | None = None

    def begin(self, title: str, n_jobs: int) -> None:
        """Show a bar for a table."""
        self.close()
        self.title = title
        if self._shown:
            self._bar = tqdm(total=n_jobs, desc=title, unit="job", leave=False, dynamic_ncols=True)

    def advance(self) -> None:
        """Count one job as done."""
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
