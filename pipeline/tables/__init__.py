"""The tables: parameters, trained networks and everything that is computed from them."""
