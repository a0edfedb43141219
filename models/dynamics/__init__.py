"""What a network's dynamics are at given states: linearisation, line attractors, connections."""
