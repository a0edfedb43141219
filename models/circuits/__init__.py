"""Latent circuits: small networks whose activity, embedded, is that of a trained network."""
