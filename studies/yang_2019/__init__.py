"""One network for many tasks: clusters of units, and lesions of them (Yang et al. 2019)."""
