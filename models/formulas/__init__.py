"""The formulas of a network: activation functions and the right-hand side."""
