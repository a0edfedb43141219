"""Behavioural tasks: inputs and targets of trials."""

from .angles import MemoryAngle, MemoryAntiAngle
from .base import Task
from .cddm import CDDM
from .checks import check_task
from .dmts import DMTS
from .errors import ParameterError
from .flip_flop import NBitFlipFlop
from .go_no_go import GoNoGo
from .logic import XOR, HalfAdder
from .memory import MemoryAntiNumber, MemoryNumber
from .navigation import AngleIntegration, ReferenceFrame
from .registry import TASKS, create_task, task_class

__all__ = [
    "CDDM",
    "DMTS",
    "TASKS",
    "XOR",
    "AngleIntegration",
    "GoNoGo",
    "HalfAdder",
    "MemoryAngle",
    "MemoryAntiAngle",
    "MemoryAntiNumber",
    "MemoryNumber",
    "NBitFlipFlop",
    "ParameterError",
    "ReferenceFrame",
    "Task",
    "check_task",
    "create_task",
    "task_class",
]
