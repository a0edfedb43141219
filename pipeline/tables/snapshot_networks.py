"""Networks that are snapshots of a training, entered to be analysed like all others."""

from __future__ import annotations

import datajoint as dj

from ..database import schemas
from .training import Training  # noqa: F401  (named in a definition)


# No foreign key to the snapshot: a network stays what it is where its origin is deleted.
@schemas.training
class SnapshotNetwork(dj.Manual):
    definition = """
    # network that is a snapshot of another's training, of the same task and parameters
    -> Training.Network
    ---
    origin_training   : varchar(64)  # training_name of the network that was trained
    origin_first_seed : int32        # first_seed of its cohort
    origin_seed       : int32        # its own seed
    origin_iteration  : int32        # optimiser steps done then
    index (origin_training, origin_seed)
    """
