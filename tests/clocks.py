"""Clocks of processes that tests set while these run, by libfaketime (Debian's `faketime`)."""

from __future__ import annotations

from pathlib import Path

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")


def library() -> Path | None:
    """Return libfaketime for programs with threads, where it is installed."""
    found = [path for pattern in LIBRARIES for path in Path("/").glob(pattern[1:])]
    return found[0] if found else None


class Clock:
    """The clock of processes that are started with its `environment`.

    As where a machine's clock is set, their monotonic clock goes on as it does.

    Parameters
    ----------
    file : Path
        What the clock says is written there.
    looks_each_second : bool
        Whether its processes look there once a second, and not whenever they want the time, which
        is slow.
    """

    def __init__(self, file: Path, looks_each_second: bool = False) -> None:
        self.file = file
        self._looks = {"CACHE_DURATION": "1"} if looks_each_second else {"NO_CACHE": "1"}
        self.set(0)

    def set(self, hours: float) -> None:
        """Set the clock to so many hours after the right time."""
        self.file.write_text(f"{3600 * hours:+.0f}\n")
        self.file.chmod(0o644)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process that goes by it."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            **{f"FAKETIME_{name}": value for name, value in self._looks.items()},
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }
