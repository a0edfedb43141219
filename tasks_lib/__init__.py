"""Behavioural tasks: what a trial is."""

from .base import Task
from .cddm import CDDM
from .checks import check_task
from .errors import ParameterError
from .flip_flop import NBitFlipFlop
from .registry import TASKS, create_task, task_class

__all__ = [
    "CDDM",
    "TASKS",
    "NBitFlipFlop",
    "ParameterError",
    "Task",
    "check_task",
    "create_task",
    "task_class",
]
