"""Tables of a lab's own, below those of the pipeline.

Copy this file into a package of yours, with a name of your own for the schema. Then

    rnn worker --module my_package.tables

fills `RecurrentWeights` beside the tables of the pipeline. The file is imported after
``pipeline.connect()``: the schema then lies in the same database.
"""

import datajoint as dj
import numpy as np

from pipeline import Training

schema = dj.Schema("lab_mine")


@schema
class Remark(dj.Manual):
    definition = """
    # what somebody saw in a network
    -> Training.Network
    ---
    remark : varchar(255)
    """


@schema
class Threshold(dj.Lookup):
    definition = """
    # how strong a connection has to be to count
    threshold_name : varchar(16)
    ---
    threshold : float64  # as a fraction of the strongest
    """
    contents = [
        {"threshold_name": "weak", "threshold": 0.01},
        {"threshold_name": "strong", "threshold": 0.5},
    ]


@schema
class RecurrentWeights(dj.Computed):
    definition = """
    # recurrent weights of a trained network
    -> Training.Network
    -> Threshold
    ---
    spectral_radius : float64     # largest modulus of an eigenvalue
    n_connections   : int32       # connections above the threshold
    singular_values : <npy@main>  # (N,), descending
    """

    class Unit(dj.Part):
        definition = """
        # one unit
        -> master
        unit : int32
        ---
        n_inputs_from : int32  # units that reach it by a connection above the threshold
        """

    def make(self, key):
        """Compute the row of one network, and those of its units."""
        weights = (Training.Network & key).load().W_rec
        fraction = (Threshold & key).fetch1("threshold")
        counts = np.abs(weights) >= fraction * np.abs(weights).max()
        self.insert1(
            {
                **key,
                "spectral_radius": float(np.abs(np.linalg.eigvals(weights)).max()),
                "n_connections": int(counts.sum()),
                "singular_values": np.linalg.svd(weights, compute_uv=False),
            }
        )
        self.Unit.insert(
            {**key, "unit": unit, "n_inputs_from": int(row.sum())}
            for unit, row in enumerate(counts)
        )
