"""Networks before training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import datajoint as dj

from models.formulas.activations import defined_name
from models.network.config import NetworkConfig

from ..database import schemas
from .allowed_imports import only_allowed_imports
from .derived_part import DerivedPart
from .names import given_names, other_names, the_name
from .parameters import ParameterTable, columns, config_from_columns, make_config
from .rows import Row


@schemas.network
class NetworkParams(ParameterTable):
    definition = f"""
    # parameters of a network before training
    network_name : varchar(64)   # readable name of this parameter set
    ---
    {columns(NetworkConfig)}
    network_hash : varchar(36)   # of all the above but the name
    unique index (network_hash)
    """

    hash_field = "network_hash"
    config = NetworkConfig

    class Group(DerivedPart):
        definition = """
        # named group of units, as the column groups says
        -> master
        group_name : varchar(64)  # area, cell type, ...
        ---
        first_unit : int32        # number of its first unit, from 0
        last_unit  : int32        # number of its last unit
        """

    class Block(DerivedPart):
        definition = """
        # block of weights that is absent or not trained, as the column blocks says
        -> master
        block_array  : enum('W_rec', 'W_inp', 'W_out', 'b_rec')
        block_number : int32  # from 0; where blocks overlap the last one counts
        ---
        to_group=null       : varchar(64)  # units that receive, or "all"; null: channels
        from_group=null     : varchar(64)  # units that send, or "all"; null: channels, or a bias
        block_channels=null : json         # numbers of input or output channels; null: all
        block_weights       : enum('absent', 'fixed', 'trained')
        """

    @classmethod
    @only_allowed_imports()
    def canonical(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Return the complete row, checked, defaults filled in.

        A row that names an activation of a user's own is refused where its package is not allowed.
        The activation has one name, however the row names it.
        """
        parameters = make_config(NetworkConfig, row).to_dict()
        parameters["activation"] = the_name(parameters["activation"], defined_name)
        return parameters

    @classmethod
    def part_rows(cls, row: dict[str, Any]) -> dict[type[dj.Part], list[dict[str, Any]]]:
        """Return the groups and blocks that canonical parameters name."""
        groups = [
            {"group_name": name, "first_unit": first, "last_unit": after - 1}
            for name, (first, after) in row["groups"].items()
        ]
        blocks = [
            {"block_array": array, "block_number": number, **_block_columns(block)}
            for array, entries in row["blocks"].items()
            for number, block in enumerate(entries)
        ]
        return {cls.Group: groups, cls.Block: blocks}

    @only_allowed_imports()
    def spellings(self, parameters: Row) -> Iterator[Row]:
        """Yield a canonical network with the other names that rows have for its activation."""
        stored = given_names(self & {"n_units": parameters["n_units"]}, "activation")
        for name in other_names(parameters["activation"], stored, defined_name):
            yield {**parameters, "activation": name}

    def may_be_spelled_otherwise(self) -> bool:
        """Return whether stored rows name an activation by where it is imported from."""
        return any(":" in name for name in given_names(NetworkParams(), "activation"))

    @staticmethod
    @only_allowed_imports()
    def build(row: dict[str, Any]) -> NetworkConfig:
        """Make the configuration that a row of this table describes."""
        config: NetworkConfig = config_from_columns(NetworkParams, row)
        return config


def _block_columns(block: dict[str, Any]) -> dict[str, Any]:
    sides = {side: block.get(side) for side in ("to", "from")}
    channels = next((value for value in sides.values() if isinstance(value, list)), None)
    return {
        **{f"{side}_group": v if isinstance(v, str) else None for side, v in sides.items()},
        "block_channels": channels,
        "block_weights": block["weights"],
    }
