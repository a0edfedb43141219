"""How alike networks of one task are, by behaviour, dynamics and weights (Huang et al. 2025)."""
