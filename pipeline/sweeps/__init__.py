"""Sweeps: cohorts that differ in chosen fields of a task, a network or a training."""
