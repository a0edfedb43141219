"""Finding a task class by name, and making a task."""

from __future__ import annotations

# Classes are named here too, since a row may name one by this module.
from .angles import MemoryAngle as MemoryAngle
from .angles import MemoryAntiAngle as MemoryAntiAngle
from .by_name import OPTIONAL_TASKS as OPTIONAL_TASKS
from .by_name import TASKS as TASKS
from .by_name import create_task as create_task
from .by_name import defined_name as defined_name
from .by_name import enter
from .by_name import long_names as long_names
from .by_name import task_class as task_class
from .cddm import CDDM as CDDM
from .comparison import TwoIntervalComparison as TwoIntervalComparison
from .dmts import DMTS as DMTS
from .flip_flop import NBitFlipFlop as NBitFlipFlop
from .go_no_go import GoNoGo as GoNoGo
from .logic import XOR as XOR
from .logic import HalfAdder as HalfAdder
from .memory import MemoryAntiNumber as MemoryAntiNumber
from .memory import MemoryNumber as MemoryNumber
from .mixture import Mixture
from .navigation import AngleIntegration as AngleIntegration
from .navigation import ReferenceFrame as ReferenceFrame

# It makes its components by name, and is none itself.
enter(Mixture)
