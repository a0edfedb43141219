"""Finding a task class by name, and making a task."""

from __future__ import annotations

from .by_name import OPTIONAL_TASKS as OPTIONAL_TASKS
from .by_name import TASKS as TASKS
from .by_name import create_task as create_task
from .by_name import defined_name as defined_name
from .by_name import enter
from .by_name import long_names as long_names
from .by_name import task_class as task_class
from .mixture import Mixture

# It makes its components by name, and is none itself.
enter(Mixture)
