"""Searches for fixed points of many networks and inputs in one call, which a GPU is filled with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import models
from models.machine.devices import checked_device, kind_of
from tasks_lib.errors import kind_and_text

from .network import NetworkParams
from .rows import Row

# Searches of one call: their starts fill a GPU long before, and all of them end together.
MOST_SEARCHES = 256
log = logging.getLogger(__name__)


def alike(key: Row, network: Row) -> dict[str, list[str]]:
    """Return the parameter sets of searches that can be one call with this one, by column."""
    of_size = NetworkParams & {"n_units": network["n_units"]}
    return {
        "network_name": [str(name) for name in of_size.to_arrays("network_name")],
        "search_name": [str(key["search_name"])],
    }


def room(search: Row, device: str | None, only_where_it_pays: bool) -> int:
    """Return how many searches more one call has room for.

    None of approximate points, which no GPU searches, and none on a CPU unless asked for: there
    each search takes the time that it takes alone.
    """
    if search["mode"] != "exact":
        return 0
    if only_where_it_pays and kind_of(checked_device(device)) == "cpu":
        return 0
    return MOST_SEARCHES - 1


def search_together(
    networks: Sequence[Callable[[], models.DynamicSystemAnalyzer]],
    inputs: Sequence[Sequence[float]],
    device: str | None,
    settings: Mapping[str, Any],
) -> Iterator[tuple[int, models.FixedPointSet | None]]:
    """Search in one call; yield the place and the set of each, None where it fails alone too.

    Where the call fails each half is one: what is wrong with one search is found in a few calls.

    Parameters
    ----------
    networks : sequence of callable
        Make the networks that are searched, each with its task.
    inputs : sequence of array (n_inputs,)
        One for each.
    device : str, optional
        Torch device.
    settings : mapping
        Of all searches.
    """
    places = [list(range(len(networks)))] if networks else []
    while places:
        some = places.pop()
        try:
            found = models.get_fixed_points_of_each(
                [networks[i]() for i in some],
                [inputs[i] for i in some],
                device=checked_device(device),
                **settings,
            )
        except (Exception, SystemExit) as error:  # of somebody's task, say
            if len(some) == 1:
                log.warning("a search is left out: %s", kind_and_text(error))
                yield some[0], None
            else:
                half = len(some) // 2
                places += [some[half:], some[:half]]
        else:
            yield from zip(some, found, strict=True)
