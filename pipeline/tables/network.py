"""Networks before training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from models.formulas.activations import defined_name
from models.network.config import NetworkConfig

from ..database import schemas
from .allowed_imports import only_allowed_imports
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
