"""How the fixed points of a network change while it is trained."""
