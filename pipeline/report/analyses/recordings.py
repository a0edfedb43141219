"""What a report shows of distances between networks and recordings."""

from __future__ import annotations

from ...tables.recording_distances import RecordingDistance
from .base import Grid, Number, Section
from .queries import DEFAULT, SETTINGS, STATUS, WHY

RECORDING_DISTANCES = Section(
    "recording_distances",
    "Distances to recordings",
    (
        Grid(
            RecordingDistance,
            {
                "recording_name": "recording", "distance_name": SETTINGS,
                "recording_status": STATUS, "recording_reason": WHY,
                "n_conditions": "conditions", "n_sampled": "units in a sample",
                "recording_procrustes": "Procrustes (rad)",
                "recording_procrustes_chance": "by chance", "recording_procrustes_p": "p",
                "half_procrustes": "of halves of the recording",
                "recording_cka": "CKA (rad)", "recording_cka_chance": "by chance",
                "recording_cka_p": "p", "recording_rsa": "RSA (rad)",
                "recording_rsa_chance": "by chance", "recording_rsa_p": "p",
            },
            usual={"recording_status": "compared"},
        ),
    ),
    (
        Number("procrustes", "Procrustes distance to a recording (rad)", "RecordingDistance",
               "recording_procrustes"),
    ),
    {"distance_name": DEFAULT},
)  # fmt: skip
