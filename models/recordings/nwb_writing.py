"""A network's trials as an NWB file: spikes of a sample of its units, rates, conditions."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib import Task
from tasks_lib.errors import ParameterError

from ..activity.coordinates import NOT_CONDITIONS
from ..machine.atomic_file import check_replaceable, write_atomically
from ..network.rnn_numpy import RNNNumpy
from ..populations.periods import TrialPeriod
from ..populations.recording import NOT_FINITE, TrialActivity, activity_status, record
from .nwb_files import library
from .nwb_trials import EVENT, START, STOP
from .sampling import sample_units
from .settings import SpikeSettings, settings_or_default
from .spikes import draw_spikes, firing_rates
from .trial_dataset import OWN_NAMES

Float = NDArray[np.float64]
RESERVED = ("id", START, STOP, "tags", "timeseries", "timeseries_index", "tags_index")


def write_recording(
    path: str | Path,
    rnn: RNNNumpy,
    task: Task,
    settings: SpikeSettings | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    session_start: datetime | None = None,
) -> Path:
    """Write trials of a network as an NWB file, as if an electrode had recorded it.

    The units table has the spikes of a random sample of the active units (`draw_spikes`), each
    with its number in the network as its id; the trials table has the conditions of each trial,
    and when its periods begin (``period_2_time``, ...); the processing module ``network`` has the
    rates themselves. In the first half of a pause units go on with the rates of the trial's end,
    in the second with those of the next one's beginning. What `models.read_recording` makes of the
    file has the trials and periods of the network. pynwb writes it; the optional extra ``nwb``
    brings it.

    Parameters
    ----------
    path : str or Path
        The file, replaced where it exists.
    rnn : RNNNumpy
    task : Task
    settings : SpikeSettings, optional
    metadata : dict, optional
        What is to stand in the file's ``notes``, as JSON, beside the equation's parameters and
        the settings: the network's key and the code's version, say.
    session_start : datetime, optional
        With a time zone; now by default.

    Raises
    ------
    ParameterError
        Where pynwb is not installed, states overflow, or fewer units are active than are wanted.
    OSError
        Where the file cannot be written.
    """
    chosen = settings_or_default(settings, SpikeSettings)
    pynwb = library(path)
    target = Path(path)
    check_replaceable(target)
    activity = record(
        rnn, task, noise=chosen.noise, n_repeats=chosen.n_repeats, max_trials=chosen.max_trials,
        seed=chosen.seed,
    )  # fmt: skip
    status, reason = activity_status(activity.rates, chosen.silent_below)
    if status == NOT_FINITE:
        raise ParameterError("network", status, reason, "record one whose states stay finite")
    seen = sample_units(
        activity.trials, chosen.n_units, silent_below=chosen.silent_below, seed=chosen.seed
    )
    numbers = seen["unit"].values
    rates = seen["rates"].values
    step = rnn.equation.dt / rnn.equation.tau * chosen.tau_seconds
    within = activity.periods[0].steps
    ends = step * (within.shape[1] - within[:, ::-1].argmax(axis=1))
    starts = chosen.pause + np.concatenate([[0.0], np.cumsum(ends + chosen.pause)[:-1]])
    hertz = firing_rates(rates, chosen.gain, chosen.negative)
    n_before = int(chosen.pause / 2 / step)
    going_on, while_on = _with_pauses(hertz, within, n_before)
    spikes = draw_spikes(
        going_on, starts - n_before * step, step, within=while_on, seed=chosen.seed
    )
    observed = starts[0] - n_before * step, starts[-1] + ends[-1] + n_before * step
    begun = datetime.now(UTC) if session_start is None else session_start
    said = {
        **dict(metadata or {}),
        **{name: value for name, value in activity.trials.attrs.items() if name != "seed"},
        **{name: getattr(chosen, name) for name in chosen.__dataclass_fields__},
    }
    notes = json.dumps(said, sort_keys=True, default=str)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of conventions of names of labs and subjects
        file = pynwb.NWBFile(
            session_description=f"trials of a recurrent network, task {type(task).__name__}: "
            "spikes are drawn from its rates",
            identifier=_identifier(notes, numbers, spikes),
            session_start_time=begun,
            source_script_file_name="models/recordings/nwb_writing.py",
            source_script="rnn-pipeline: models.write_recording",
            notes=notes,
            keywords=["recurrent neural network", "simulation"],
        )
        _add_trials(file, activity, starts, ends, step)
        _add_units(file, numbers, spikes, observed)
        _add_rates(pynwb, file, rates, within, starts, step)
        content = _as_bytes(pynwb, file)
    write_atomically(target, lambda out: out.write(content))
    return target


def _identifier(notes: str, numbers: NDArray[Any], spikes: list[Float]) -> str:
    """Return what the same recording has again, and no other one."""
    digest = hashlib.sha256(notes.encode())
    for array in (np.asarray(numbers, dtype=np.int64), *spikes):
        digest.update(array.tobytes())
    return digest.hexdigest()[:32]


def _add_trials(
    file: Any, activity: TrialActivity, starts: Float, ends: Float, step: float
) -> None:
    trials = activity.trials
    kept = (*OWN_NAMES, *(n for n in trials.coords if n not in NOT_CONDITIONS))
    fields = [str(n) for n in dict.fromkeys(kept) if n in trials.coords and
              trials[n].dims == ("trial",)]  # fmt: skip
    columns = {
        f"condition_{name}" if name in RESERVED else name: trials[name].values for name in fields
    }
    onsets = {
        f"{period.name.replace(' ', '_')}{EVENT}": _onsets(period, starts, step)
        for period in activity.periods[2:]
    }
    for name in columns:
        file.add_trial_column(name, f"{name} of the trial, as the task has it")
    for (name, _), period in zip(onsets.items(), activity.periods[2:], strict=True):
        inputs = ", ".join(period.inputs) or "none"
        file.add_trial_column(name, f"when the period begins (s); inputs in it: {inputs}")
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        own = {name: values[i].item() for name, values in columns.items()}
        times = {name: float(values[i]) for name, values in onsets.items()}
        file.add_trial(start_time=float(start), stop_time=float(start + end), **own, **times)


def _onsets(period: TrialPeriod, starts: Float, step: float) -> Float:
    """Return when a period begins in each trial (s); NaN: it does not."""
    onsets = starts + step * period.steps.argmax(axis=1)
    return np.where(period.steps.any(axis=1), onsets, np.nan)


def _with_pauses(
    rates: Float, within: NDArray[np.bool_], n_more: int
) -> tuple[Float, NDArray[np.bool_]]:
    """Return rates (B, T, N) that go on for some steps before and after each trial.

    Before it with the rate of its first step, after it with that of its last: neurons do not stop
    between trials, and rates that are smoothed would fall at both ends if they did.
    """
    lengths = within.shape[1] - within[:, ::-1].argmax(axis=1)
    at = np.arange(-n_more, within.shape[1] + n_more)
    steps = np.clip(at, 0, lengths[:, None] - 1)
    return np.take_along_axis(rates, steps[:, :, None], axis=1), at < lengths[:, None] + n_more


def _add_units(
    file: Any, numbers: NDArray[Any], spikes: list[Float], observed: tuple[float, float]
) -> None:
    file.add_unit_column("n_spikes", "spikes of the unit")
    for number, times in zip(numbers, spikes, strict=True):
        file.add_unit(
            id=int(number),
            spike_times=times,
            obs_intervals=np.array([observed]),
            n_spikes=len(times),
        )


def _add_rates(
    pynwb: Any, file: Any, rates: Float, within: NDArray[np.bool_], starts: Float, step: float
) -> None:
    """Add the rates that the spikes are drawn from, at the steps of all trials."""
    from hdmf.backends.hdf5.h5_utils import H5DataIO

    at = starts[:, None] + step * np.arange(within.shape[1])
    module = file.create_processing_module("network", "what the network does in the trials")
    module.add(
        pynwb.TimeSeries(
            name="rates",
            description="rate of each unit of the units table, in its order, before gain",
            data=H5DataIO(rates[within].astype(np.float32), compression="gzip"),
            timestamps=H5DataIO(at[within], compression="gzip"),
            unit="a.u.",
        )
    )


def _as_bytes(pynwb: Any, file: Any) -> bytes:
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as held, pynwb.NWBHDF5IO(file=held, mode="w") as out:
        out.write(file)
    return content.getvalue()
