"""Figures of trials, tasks, trainings and dynamics."""
