"""How well a network does its task: scores and psychometric curves."""
