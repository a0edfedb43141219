"""How networks look: figures of trials, tasks, trainings and dynamics."""
