"""Settings of recordings: how they are read, drawn from networks, and compared with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks_lib.errors import ParameterError

from ..parameters import (
    assign,
    check_parameters,
    choice,
    documented,
    flag,
    mapping,
    name,
    number,
    refuse_unmeant,
    whole,
)
from ..populations.settings import FEWEST_SHUFFLES, NO_P

SHORTEST_SHARE = 0.01  # of a network's trial that is compared with a recording
NO_BIN = "is shorter than a tenth of a spike, or longer than any trial"
SPACE_OF_TRIALS = "trials at most, spread over the task's batch; of large networks fewer"


@documented
@dataclass(frozen=True)
class RecordingSettings:
    """Settings of how trial-aligned rates are read from a file of spikes."""

    align: str = name("start_time", "column of the trials table that is time 0 of each trial")
    window_on: float = number(0.0, "beginning of the window of a trial", unit="s from time 0")
    window_off: float | None = number(
        None, "end of the window; null: that of the trial that ends first", unit="s from time 0",
        nullable=True,
    )  # fmt: skip
    unusable: str = choice(
        "refuse",
        ("refuse", "leave_out"),
        "trials without time 0, and trials that are shorter than the window",
        details="refuse: the file is refused, and the error names them. leave_out: they are left "
        "out and counted.",
    )
    bin_width: float = number(
        0.02, "bins in which spikes are counted", exclusive_minimum=0.0, unit="s",
        least=1e-4, most=60.0, because=NO_BIN,
    )  # fmt: skip
    smoothing: float = number(
        0.04, "standard deviation of the Gaussian that rates are smoothed with; 0: none",
        minimum=0.0, unit="s", least=1e-4, most=60.0, or_zero=True, because=NO_BIN,
    )  # fmt: skip
    min_rate: float = number(
        0.5, "mean rate in the windows below which a unit is left out", minimum=0.0, unit="Hz",
        most=1000.0, because="is a rate that no neuron has",
    )  # fmt: skip
    quality: str = name("", "what the column quality says of units that are kept; empty: any")
    electrode_group: str = name("", "electrode group of the units that are kept; empty: any")
    conditions: Mapping[str, str] = mapping(
        "columns of the trials table that are conditions, with their names in the task",
        details="Where there are none, all columns with a value for each trial, by their own "
        "names.",
    )
    unit_columns: Mapping[str, Any] = mapping(
        "columns of the units table, with what they say of units that are kept",
        details="Several values: a list, or a text with | between them; a unit is kept that has "
        "one of them, in every column. `location` is that of a unit's electrodes where the table "
        "has no such column.",
    )

    def __post_init__(self) -> None:
        """Check every field, and that they fit each other."""
        check_parameters(self)
        assign(self, unit_columns=_wanted(self.unit_columns))
        if not self.align:
            raise ParameterError("align", "", "names no column", "use start_time, say")
        for column, field in self.conditions.items():
            if not (isinstance(column, str) and isinstance(field, str) and column and field):
                problem = "is no name of a column with one of a field"
                raise ParameterError("conditions", {column: field}, problem, "write column: field")
        if len(set(self.conditions.values())) < len(self.conditions):
            problem = "give two columns the same name"
            raise ParameterError(
                "conditions", dict(self.conditions), problem, "name each another field"
            )
        if self.window_off is not None and self.window_off - self.window_on < self.bin_width:
            raise ParameterError(
                "window_off", self.window_off,
                f"is less than a bin of {self.bin_width:g} s after window_on {self.window_on:g}",
                "use a later one",
            )  # fmt: skip
        if self.window_off is not None:
            self.check_smoothing(self.window_off)

    def check_smoothing(self, window_off: float) -> None:
        """Refuse to smooth over more than the window, which ends at ``window_off``.

        Raises
        ------
        ParameterError
        """
        length = window_off - self.window_on
        if self.smoothing > length:
            problem, remedy = f"is more than the window of {length:g} s", "use less, or 0 for none"
            refuse_unmeant("smoothing", self.smoothing, problem, remedy)


@documented
@dataclass(frozen=True)
class SpikeSettings:
    """Settings of how a network's trials are recorded as an electrode would."""

    n_units: int = whole(
        0, "active units that are recorded, a random sample; 0: all", minimum=0, maximum=1_000_000
    )
    gain: float = number(
        30.0, "spikes a second for a rate of 1", exclusive_minimum=0.0, unit="Hz",
        least=1e-3, most=1e5, because="makes no spikes, or more than a neuron fires",
    )  # fmt: skip
    negative: str = choice(
        "shift",
        ("shift", "rectify"),
        "what becomes of rates below 0",
        details="shift: a unit's smallest rate over all trials is taken off where it is below 0. "
        "rectify: what is below 0 is 0.",
    )
    tau_seconds: float = number(
        0.1, "length of the time constant tau", exclusive_minimum=0.0, unit="s",
        least=1e-4, most=1000.0, because="is no time constant of neurons",
    )  # fmt: skip
    pause: float = number(
        0.5, "time between two trials", minimum=0.0, unit="s",
        most=3600.0, because="is longer than an hour",
    )  # fmt: skip
    noise: bool = flag(False, "whether the network runs with its noise")
    n_repeats: int = whole(5, "how often each trial is run", minimum=1, maximum=1000)
    max_trials: int = whole(64, SPACE_OF_TRIALS, minimum=2)
    silent_below: float = number(
        1e-3, "largest |rate| of a silent unit, over all trials and steps", minimum=0.0
    )
    seed: int = whole(0, "of the trials, the noise, the units and the spikes", minimum=0)

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)


@documented
@dataclass(frozen=True)
class RecordingComparisonSettings:
    """Settings of the comparison of a recording with a network."""

    network_on: float = number(
        0.0, "where in the network's trial the recorded window begins", minimum=0.0, maximum=1.0,
        unit="shares of the trial",
    )  # fmt: skip
    network_off: float = number(
        1.0, "where in the network's trial the recorded window ends", minimum=0.0, maximum=1.0,
        unit="shares of the trial",
    )  # fmt: skip
    n_times: int = whole(
        20, "bins of the window, in which activity is averaged", minimum=2, maximum=10_000
    )
    n_components: int = whole(
        10, "principal components of mean activity that are compared", minimum=1, maximum=1000
    )
    min_trials: int = whole(
        2, "recorded trials of a condition below which it is left out", minimum=1
    )
    scale_units: bool = flag(
        False,
        "whether each unit is divided by its standard deviation over conditions and time",
        details="Else units count by the size of their modulation.",
    )
    n_samples: int = whole(
        5,
        "random samples of the network's active units, each as large as the recording",
        minimum=0,
        maximum=1000,
        details="Distances are means over them. 0: all active units at once.",
    )
    n_shuffles: int = whole(
        50, "permutations of conditions in the control", minimum=0, maximum=10_000,
        least=FEWEST_SHUFFLES, or_zero=True, because=NO_P,
    )  # fmt: skip
    max_trials: int = whole(256, SPACE_OF_TRIALS, minimum=2)
    silent_below: float = number(
        1e-3, "largest |rate| of a silent unit of the network, over all trials", minimum=0.0
    )

    def __post_init__(self) -> None:
        """Check every field, and that they fit each other."""
        check_parameters(self)
        if self.network_off <= self.network_on:
            raise ParameterError(
                "network_off", self.network_off,
                f"is not after network_on {self.network_on:g}", "use a larger one",
            )  # fmt: skip
        if self.network_off - self.network_on < SHORTEST_SHARE:
            refuse_unmeant(
                "network_off", self.network_off,
                f"is less than {SHORTEST_SHARE:g} of the trial after network_on "
                f"{self.network_on:g}, a step or two", "use a larger one",
            )  # fmt: skip


def settings_or_default(given: Any, kind: type[Any]) -> Any:
    """Return settings that were given, or those by default.

    Raises
    ------
    ParameterError
        For what is no such settings.
    """
    if given is None:
        return kind()
    if not isinstance(given, kind):
        raise ParameterError(
            "settings", given, f"is no {kind.__name__}", f"make one: models.{kind.__name__}(...)"
        )
    return given


def text_of_cell(value: Any) -> str:
    """Return what stands in a table, as a text: 2 and 2.0 are "2", true is "true"."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    is_number = isinstance(value, int | float | np.integer | np.floating)
    return f"{value:.12g}" if is_number else str(value)


def _wanted(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the values of units that are kept, by column: texts, as `text_of_cell` has them."""
    found = {}
    for column, values in given.items():
        each = values.split("|") if isinstance(values, str) else values
        each = each if isinstance(each, list | tuple) else [each]
        texts = sorted({text_of_cell(one).strip() for one in each})
        plain = all(isinstance(one, str | bool | int | float) for one in each)
        if not (isinstance(column, str) and column and texts and plain and all(texts)):
            problem = "is no name of a column with values of units"
            raise ParameterError(
                "unit_columns", {column: values}, problem, "write column: value, or several with |"
            )
        found[column] = texts
    return found
