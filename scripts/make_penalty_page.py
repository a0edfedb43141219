"""Write docs/penalties.md: every penalty of the library, from its docstring and its arguments."""

from __future__ import annotations

import inspect
from pathlib import Path

from models import penalties

PAGE = Path(__file__).resolve().parent.parent / "docs" / "penalties.md"
HEAD = """# Penalties

A training's loss is the masked mean squared error of the task plus the sum of weight times penalty.
In a submission a penalty is a name with its weight and, where they differ from the defaults, its
arguments:

```yaml
trainings:
  sparse:
    task_safe_gradients: true   # what opposes the task's gradient is projected out
    penalties:
      rec_weights_sparsity: {weight: 0.05, args: {tg_deg: 20}}
      fr_magnitude: {weight: 0.2}
      my_package.my_module:drift: {weight: 0.1}
```

The last one is a function of your own, in your own package; it gets a
`models.penalties.PenaltyContext` and returns a number:

```python
def drift(context):
    \"\"\"Penalise the change of states from step to step.\"\"\"
    return (context.states[:, 1:] - context.states[:, :-1]).square().mean()
```

Penalties are rows of `TrainingParams.Penalty`, to be asked for by name and weight:
`Training.Network & (TrainingParams.Penalty & {"penalty": "fr_magnitude"} & "weight > 0.1")`.

Below, states x, rates r (x in form s, f(x) in form h) and net inputs are (N, T, B); E and I units
are those of Dale's law.
"""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for name in penalties.names():
        function = penalties.get(name)
        if not function.__module__.startswith("models."):
            continue
        arguments = list(inspect.signature(function).parameters.values())[1:]
        parts.append(f"## `{name}`\n\n{inspect.getdoc(function)}\n")
        if arguments:
            shown = ", ".join(f"`{a.name}` = {a.default}" for a in arguments)
            parts.append(f"Arguments: {shown}.\n")
    return "\n".join(parts)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
