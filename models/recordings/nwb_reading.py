"""Trial-aligned rates of the units of an NWB file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError
from tasks_lib.sizes import bytes_in_words, physical_bytes

from .nwb_files import opened
from .nwb_trials import chosen_trials
from .nwb_units import chosen_units
from .rates import aligned_rates, bin_edges
from .settings import RecordingSettings, settings_or_default
from .trial_dataset import RecordedTrial, recorded_dataset

if TYPE_CHECKING:
    import xarray

Float = NDArray[np.float64]
MOST_BINS = 10**15  # of which the memory is still a number in words


@brief
@dataclass(frozen=True, eq=False)
class RecordedActivity:
    """What is read of a recording.

    Attributes
    ----------
    rates : array (B, T, N)
        In Hz.
    trials : sequence of RecordedTrial
    unit_ids : array (N,)
        What the file calls the units.
    window_off : float
        End of the window, from time 0 of a trial (s).
    settings : RecordingSettings
    source : dict
        ``file``, ``sha256``, ``session``, ``n_units_in_file`` and ``n_trials_left_out``.
    """

    rates: Float
    trials: Sequence[RecordedTrial]
    unit_ids: NDArray[Any]
    window_off: float
    settings: RecordingSettings
    source: Mapping[str, Any]

    def dataset(self) -> xarray.Dataset:
        """Return it in the shape of `models.get_trials`; see `read_recording`."""
        chosen = self.settings
        edges = bin_edges(chosen.window_on, self.window_off, chosen.bin_width)
        # What every format of files holds: neither a mapping nor None.
        how = {k: v for k, v in vars(chosen).items() if not isinstance(v, Mapping)}
        return recorded_dataset(
            self.rates, (edges[:-1] + edges[1:]) / 2, self.trials, self.unit_ids,
            {"source": "NWB file", **self.source, **how, "window_off": self.window_off},
        )  # fmt: skip


def read_recording(path: str | Path, settings: RecordingSettings | None = None) -> xarray.Dataset:
    """Read the rates of recorded units in trials from an NWB file.

    Spikes are counted in bins from a time of each trial on and smoothed; units that an analysis
    would not trust are left out (`RecordingSettings`). pynwb reads the file; the optional extra
    ``nwb`` brings it.

    Parameters
    ----------
    path : str or Path
        An NWB file (HDF5) with the units table (column ``spike_times``) and the trials table.
    settings : RecordingSettings, optional

    Returns
    -------
    xarray.Dataset
        In the shape of `models.get_trials`, so that analyses take both: ``rates`` (trial, time,
        unit) in Hz, and as coordinates the conditions of each trial. Columns of the trials table
        that are times within their trials are events: ``inputs`` (trial, time, input) is 1 from an
        event on, so that periods of a trial end where events come. The attributes say of which
        file it is (``sha256``), how it was read, and how many units and trials were left out.

    Raises
    ------
    ParameterError
        Naming the table and the column: for a file that is no NWB file or lies in part elsewhere,
        for tables and columns that are missing, for times that are not finite or in no order, for
        trials that overlap or are shorter than the window, and where no unit is left.
    """
    return read_activity(path, settings).dataset()


def read_activity(path: str | Path, settings: RecordingSettings | None = None) -> RecordedActivity:
    """Read the same as `read_recording`, with its trials as the file has them."""
    chosen = settings_or_default(settings, RecordingSettings)
    file = Path(path)
    with opened(file) as contents:
        trials = chosen_trials(contents, chosen)
        length = (trials.window_off - chosen.window_on) / chosen.bin_width
        _check_memory(len(trials.zero), int(min(length, MOST_BINS)), 1)
        edges = bin_edges(chosen.window_on, trials.window_off, chosen.bin_width)
        units = chosen_units(contents, trials.zero[:, None] + edges[[0, -1]], chosen)
        source = {
            "file": file.name,
            "session": str(contents.identifier or ""),
            "n_units_in_file": units.n_in_file,
            "n_trials_left_out": trials.n_left_out,
            "sha256": sha256_of(file),
        }
    shape = len(trials.zero), len(edges) - 1, len(units.spike_times)
    _check_memory(*shape)
    rates = np.empty(shape)
    for i, spikes in enumerate(units.spike_times):
        rates[:, :, i] = aligned_rates(spikes, trials.zero, edges, chosen.smoothing)
    return RecordedActivity(rates, trials.trials, units.unit_ids, trials.window_off, chosen, source)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_memory(n_trials: int, n_bins: int, n_units: int) -> None:
    needed = 3 * 8 * n_trials * n_bins * n_units
    if needed > physical_bytes():
        raise ParameterError(
            "bin_width", f"{n_trials} trials of {n_bins} bins and {n_units} units",
            f"would take about {bytes_in_words(needed)}, and this machine has "
            f"{bytes_in_words(physical_bytes())}", "use wider bins, or a shorter window",
        )  # fmt: skip
