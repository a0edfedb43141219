"""Networks before training."""

from __future__ import annotations

from typing import Any

import datajoint as dj

from models import NetworkConfig

from ..database import schemas
from .parameters import ParameterTable, config_from_columns, make_config


@schemas.network
class NetworkParams(ParameterTable, dj.Manual):
    definition = """
    # parameters of a network before training
    network_name      : varchar(64)   # readable name of this parameter set
    ---
    n_units           : int32         # number of units N
    activation        : varchar(32)   # relu, leaky_relu, tanh, sigmoid, softplus, gelu
    activation_args   : json          # arguments of the activation function
    equation_type     : enum('s', 'h')  # state is a rate (s) or a potential (h)
    tau               : float64       # time constant, in the unit of dt
    dt                : float64       # Euler step, in the unit of tau
    gamma             : float64       # cubic damping coefficient
    dale              : bool          # Dale's law
    exc_to_inh_ratio  : float64       # excitatory units for each inhibitory one
    density           : float64       # fraction of recurrent connections that exist
    self_connections  : bool          # whether units may project to themselves
    spectral_radius   : float64       # of W_rec at initialisation
    nonnegative_inp   : bool          # input weights stay >= 0
    nonnegative_out   : bool          # output weights stay >= 0
    sigma_rec         : float64       # recurrent noise level
    sigma_inp         : float64       # input noise level
    sigma_out         : float64       # readout noise level
    noise_inside      : bool          # form s: recurrent noise inside the activation
    bias_min          : float64       # lower end of the bias range
    bias_max          : float64       # upper end; equal to bias_min: a constant, not trained
    bias_init         : enum('zero', 'uniform')  # where a trained bias starts
    train_x_init      : bool          # whether the initial state is trained, from zero
    constraint_method : enum('clamp', 'reflect')  # how constraints are kept
    network_hash      : varchar(36) # of all the above but the name
    unique index (network_hash)
    """

    hash_field = "network_hash"

    @classmethod
    def canonical(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Return the complete row, checked, defaults filled in."""
        return make_config(NetworkConfig, row).to_dict()

    @staticmethod
    def build(row: dict[str, Any]) -> NetworkConfig:
        """Make the configuration that a row of this table describes."""
        return config_from_columns(NetworkConfig, row)
