"""Networks before training."""

from __future__ import annotations

from typing import Any

from models.network.config import NetworkConfig

from ..database import schemas
from .allowed_imports import only_allowed_imports
from .parameters import ParameterTable, columns, config_from_columns, make_config


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
        """
        return make_config(NetworkConfig, row).to_dict()

    @staticmethod
    @only_allowed_imports()
    def build(row: dict[str, Any]) -> NetworkConfig:
        """Make the configuration that a row of this table describes."""
        config: NetworkConfig = config_from_columns(NetworkParams, row)
        return config
