"""Parameters of a training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import datajoint as dj

from models.training.config import TrainingConfig
from tasks_lib.errors import ParameterError

from ..database import schemas
from .allowed_imports import only_allowed_imports
from .checked import CheckedPart
from .in_use import class_title, locked_row
from .names import given_names, other_names, the_name
from .parameters import ParameterTable, check_name, columns, config_from_columns, make_config
from .rows import Row, in_chunks

# The training of networks that were trained elsewhere. It has no iterations, which no training
# of ours can have: its parameters equal no other set, and nothing can be trained with them.
IMPORTED = "imported"


@schemas.training
class TrainingParams(ParameterTable):
    definition = f"""
    # parameters of a training
    training_name : varchar(64)  # readable name of this parameter set
    ---
    {columns(TrainingConfig, left_out=("penalties",))}
    training_hash : varchar(36)  # of all the above but the name, and of the penalties
    unique index (training_hash)
    """

    hash_field = "training_hash"
    config = TrainingConfig
    extra_fields = {"penalties": "mapping"}

    class Penalty(CheckedPart):
        definition = """
        # penalty added to the loss
        -> master
        penalty : varchar(128)  # registered name, or "package.module:function"
        ---
        weight  : float64       # lambda
        args    : json          # arguments of the penalty that differ from its defaults
        """

        def checked(self, row: Row) -> Row:
            """Return the row: a penalty with weight and arguments, of a training that is there."""
            name = check_name("training_name", row.get("training_name"))
            if not TrainingParams & {"training_name": name}:
                raise ParameterError(
                    "training_name", name, "has not been entered", "enter the training first"
                )
            given = {k: row[k] for k in ("weight", "args") if row.get(k) is not None}
            alone = TrainingParams.canonical({"penalties": {row.get("penalty"): given}})
            ((penalty, specification),) = alone["penalties"].items()
            return {"training_name": name, "penalty": penalty, **specification}

        def enter(self, row: Row, skip_duplicates: bool) -> None:
            """Add a penalty to a training on which nothing hangs; its hash is renewed."""
            key, name = {"training_name": row["training_name"]}, row["penalty"]
            specification = {k: row[k] for k in ("weight", "args")}
            there = TrainingParams().whole(key)["penalties"]
            # Whatever earlier versions called it.
            same = TrainingParams.canonical({"penalties": there})["penalties"].get(name)
            if same == specification:
                return
            if same is not None:
                raise ParameterError(
                    class_title(self),
                    self.key_of(row),
                    "exists with other parameters",
                    "enter a new training under another name",
                )
            self.refuse_in_use(key)
            _change_penalties(key, {**there, name: specification})

        def change(self, key: Row, stored: Row, new: Row) -> None:
            """Change a penalty of a training, which is locked and not in use."""
            row, own = self.checked(new), {"training_name": key["training_name"]}
            there = TrainingParams().whole(own)["penalties"]
            del there[key["penalty"]]
            _change_penalties(
                own, {**there, row["penalty"]: {k: row[k] for k in ("weight", "args")}}
            )

        def delete_rows(self, rows: list[Row]) -> None:
            """Take penalties from trainings, which are locked and not in use."""
            for name in sorted({row["training_name"] for row in rows}):
                key = {"training_name": name}
                gone = {row["penalty"] for row in rows if row["training_name"] == name}
                there = TrainingParams().whole(key)["penalties"]
                _change_penalties(key, {k: v for k, v in there.items() if k not in gone})

    def checked(self, row: Row) -> Row:
        """Return the complete row without its hash, defaults filled in."""
        if row.get("training_name") == IMPORTED:
            raise ParameterError(
                "training_name", IMPORTED, "is that of imported networks", "choose another name"
            )
        # A fetched row lacks its penalties, and its hash says which they are.
        if "penalties" not in row and isinstance(row.get(self.hash_field), str):
            of = (self & {self.hash_field: row[self.hash_field]}).to_dicts()
            row = {**row, **(self.whole(of[0], ("penalties",)) if of else {})}
        return super().checked(row)

    def whole(self, stored: Row, fields: tuple[str, ...] = ()) -> Row:
        """Return a stored row with its penalties; or of it these fields alone."""
        key = {"training_name": stored["training_name"]}
        penalties = penalties_of((TrainingParams.Penalty & key).to_dicts())
        row = {**stored, "penalties": penalties}
        return {k: v for k, v in row.items() if not fields or k in fields}

    @classmethod
    def enter_imported(cls) -> None:
        """Enter the training of imported networks, where it is not there yet."""
        if not cls & {"training_name": IMPORTED}:
            cls().enter({"training_name": IMPORTED, **cls.canonical({}), "max_iter": 0}, False)

    @classmethod
    def parameters_of_row(cls, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that a whole row holds, its penalties too."""
        penalties = cls.Penalty & {"training_name": row["training_name"]}
        return super().parameters_of_row(row) | {"penalties": penalties_of(penalties.to_dicts())}

    @classmethod
    def parameters_of_rows(cls, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the same of many rows, with few queries."""
        penalties: dict[str, list[Row]] = defaultdict(list)
        for some in in_chunks([{"training_name": row["training_name"]} for row in rows]):
            for part in (cls.Penalty & some).to_dicts():
                penalties[part["training_name"]].append(part)
        return [
            super(TrainingParams, cls).parameters_of_row(row)
            | {"penalties": penalties_of(penalties[row["training_name"]])}
            for row in rows
        ]

    def may_be_spelled_otherwise(self) -> bool:
        """Return whether stored rows name a penalty by where it is imported from."""
        return any(":" in name for name in given_names(TrainingParams.Penalty(), "penalty"))

    @classmethod
    @only_allowed_imports()
    def canonical(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Return the complete row, checked, defaults filled in; penalties among its fields.

        Each penalty has one name, however the row names it.
        """
        parameters = make_config(TrainingConfig, row).to_dict()
        parameters["penalties"] = _by_their_names(parameters["penalties"])
        return parameters

    @only_allowed_imports()
    def spellings(self, parameters: Row) -> Iterator[Row]:
        """Yield a canonical training with the other names that rows have for its penalties."""
        penalties = parameters["penalties"]
        if not penalties:
            return
        from models.penalties import defined_name  # imports torch

        stored = given_names(TrainingParams.Penalty(), "penalty")
        names = [[name, *other_names(name, stored, defined_name)] for name in penalties]
        for spelling in product(*names):
            yield {
                **parameters,
                "penalties": dict(zip(spelling, penalties.values(), strict=True)),
            }

    @classmethod
    def part_rows(cls, row: dict[str, Any]) -> dict[type[dj.Part], list[dict[str, Any]]]:
        """Return the penalties that belong to a canonical row."""
        return {
            cls.Penalty: [
                {"penalty": name, "weight": p["weight"], "args": p["args"]}
                for name, p in row["penalties"].items()
            ]
        }

    @staticmethod
    @only_allowed_imports()
    def build(row: dict[str, Any], penalties: list[dict[str, Any]]) -> TrainingConfig:
        """Make the configuration that a row and its penalties describe."""
        config: TrainingConfig = config_from_columns(
            TrainingParams, row, penalties=penalties_of(penalties)
        )
        return config


def penalties_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the penalties that rows of `TrainingParams.Penalty` hold, as trainings have them."""
    return {p["penalty"]: {"weight": p["weight"], "args": p["args"] or {}} for p in rows}


def _by_their_names(penalties: Mapping[str, Any]) -> dict[str, Any]:
    """Return penalties by the one name of each, sorted; refuse one that is there twice."""
    if not penalties:
        return {}
    from models.penalties import defined_name  # imports torch

    named: dict[str, str] = {}
    for given in penalties:
        name = the_name(given, defined_name)
        if name in named:
            raise ParameterError(
                f"penalties.{given}",
                penalties[given],
                f"is the penalty that is there as {named[name]!r}",
                "name it once, with the sum of the weights if that is meant",
            )
        named[name] = given
    return {name: penalties[named[name]] for name in sorted(named)}


def _change_penalties(key: Row, penalties: dict[str, Any]) -> None:
    """Change the penalties of a training, which is locked and not in use; renew its hash."""
    table = TrainingParams()
    stored = table.normal(locked_row(table, key))
    table.change(key, stored, {**stored, "penalties": penalties})
