"""Silent units of trained networks, and what a penalty on their rates changes."""
