"""Names of pages, of figures and of the files that hold them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..store.file_names import file_name
from ..tables.keys import SETS


def figure_name(key: Mapping[str, Any], *what: object, ending: str = ".png") -> str:
    """Return the name of a file of a network or a cohort, which no other network's or cohort's has.

    Parameters
    ----------
    key : mapping
        With ``seed``: of a network; with ``first_seed`` alone: of a cohort.
    *what : object
        What the file shows.
    ending : str
        Of the name.
    """
    names = (key[f"{part}_name"] for part in SETS)
    whose = f"seed{key['seed']}" if "seed" in key else f"seeds_from{key['first_seed']}"
    return file_name(*names, whose, *what, ending=ending)


def page_of(key: Mapping[str, Any]) -> str:
    """Return the path of a network's page, or of a cohort's, from the folder of the report."""
    folder = "networks" if "seed" in key else "cohorts"
    return f"{folder}/{figure_name(key, ending='.html')}"


def url(path: str) -> str:
    """Return what a page writes to refer to a path: names of files may hold %."""
    return quote(path, safe="/~+")


def verify_command(key: Mapping[str, Any]) -> str:
    """Return what is typed in a shell to train a network again and compare it."""
    options = [f"--{part}={key[f'{part}_name']}" for part in SETS]
    return shlex.join(["rnn", "verify", *options, f"--seed={key['seed']}"])
