"""How networks are trained: batches, losses, the optimiser, checkpoints, memory."""
