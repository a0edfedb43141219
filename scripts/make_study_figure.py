"""Make the figure of docs/studies.md from the numbers that lie beside it.

    python scripts/make_study_figure.py [--fetch]

With --fetch they are those of the reduced form of `yang_2019` in the database that is configured,
where `rnn reproduce yang_2019` has put them.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from docs_pictures import FOLDER, write

from studies.yang_2019.figure import draw
from studies.yang_2019.lesions import Lesions

NUMBERS = FOLDER / "yang_2019.npz"
FIGURES = ("yang_2019",)
OF_LESIONS = ("tasks", "sizes", "variances", "falls", "random_falls")


def fetch() -> None:
    """Write the numbers of the network that the study's figure shows."""
    import pipeline
    from pipeline.reproduction.filling import enter
    from pipeline.reproduction.results import reproduce
    from pipeline.reproduction.study_file import read_study

    pipeline.connect()
    study = read_study("yang_2019")
    done = {each.expected.name: each for each in reproduce(study, draws=False).outcomes}
    seeds = done["specific"].values["softplus"]  # networks that solve their tasks
    keys = [key for key in enter(study)[1]["softplus"] if key["seed"] in seeds]
    found = study.measures().shown([{**key, **study.settings} for key in keys])
    assert found is not None
    lesions = {f"lesions_{name}": getattr(found["found"], name) for name in OF_LESIONS}
    np.savez_compressed(
        NUMBERS, variances=found["variances"].astype(np.float32), labels=found["labels"],
        tasks=found["tasks"], **lesions,
    )  # fmt: skip


def figures() -> dict[str, Any]:
    """Return the figure by the name of its file."""
    with np.load(NUMBERS) as arrays:
        given = {name: arrays[f"lesions_{name}"] for name in OF_LESIONS}
        given |= {name: given[name].tolist() for name in ("tasks", "sizes")}
        drawn = draw(
            arrays["variances"], arrays["labels"], Lesions(**given), arrays["tasks"].tolist()
        )
    return {"yang_2019": drawn}


def main() -> None:
    """Write it."""
    if "--fetch" in sys.argv[1:]:
        fetch()
    write(figures())


if __name__ == "__main__":
    main()
