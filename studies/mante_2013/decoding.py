"""Whether the stimulus that does not matter is in the rates all the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def cross_validated_r2(rates: Float, values: Float, seed: int = 0, folds: int = 5) -> float:
    """Return R^2 of a number decoded from rates by ridge regression, cross-validated over trials.

    Parameters
    ----------
    rates : array (B, N)
        One pattern of each trial.
    values : array (B,)
        What is decoded.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    decoder = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    split = KFold(folds, shuffle=True, random_state=seed)
    predicted = cross_val_predict(decoder, rates, values, cv=split)
    return 1 - float(((predicted - values) ** 2).sum() / ((values - values.mean()) ** 2).sum())
