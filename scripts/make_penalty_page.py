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

Penalties are rows of `TrainingParams.Penalty`, to be asked for by name and weight:
`Training.Network & (TrainingParams.Penalty & {"penalty": "fr_magnitude"} & "weight > 0.1")`.

What became of each, the task too, is in `Training.Term`: its loss at every iteration before its
weight and, where the training has `monitor: true`, the norm of its weighted gradient.
`(Training.Term & key).plot()` draws them for one network, and
`Training.Network & (Training.Term & {"term": "fr_magnitude"} & "final_loss < 0.01")` are the
networks in which that loss ended below 0.01. Monitoring takes time: each penalty on activity is
then propagated by itself.

## A penalty of your own

The last penalty above is a function in your own package; it gets a
`models.penalties.PenaltyContext` and returns a number:

```python
def drift(context):
    \"\"\"Penalise the change of states from step to step.\"\"\"
    return (context.states[:, 1:] - context.states[:, :-1]).square().mean()
```

It is written for one network. On a GPU torch calls it once for all networks of a batch
(`torch.func.vmap`) and an iteration is captured as a CUDA graph, if its operations are torch's and
none brings a number to the host: no `float(...)`, `.item()`, `bool(...)` or `if` on a tensor, no
`tensor[mask]` (write `torch.where`). One that does is taken network by network, outside of the
graph; its value is the same, and a warning names it.

Where all that a penalty wants of the activity is one number for each unit, it can have it without
a pass over the trajectories: it asks for it with `context.statistic`, and names it in `needs`, so
that it is taken while the network runs.

```python
from models.penalties import Statistic, register


@register(
    "rate_spread",
    needs=lambda args: [Statistic("soft_maximum_rate", args["tau"])],
    tau={"exclusive_minimum": 0.0},
)
def rate_spread(context, tau=0.1):
    \"\"\"Penalise units whose largest rates differ.\"\"\"
    return context.statistic("soft_maximum_rate", tau).var()
```

`needs` is given all arguments, defaults filled in. The statistics of a unit over steps and trials
are `mean_square_rate` (mean r^2), `mean_abs_state` (mean |x|), and `soft_maximum_rate` and
`soft_maximum_state` (tau (logsumexp(z / tau) - ln TB), z being r or |x|). Without `needs` the
penalty has the same value, more slowly. `register` also gives limits to arguments, which a
submission is checked against. There, call it `my_package.my_module:rate_spread`: a worker knows the
short name only once the module has been imported. The package has to be allowed where rows are
entered and where workers run: `rnn --allow my_package ...`, or RNN_ALLOWED_PACKAGES
([why](security.md)).

## The penalties here

States x, rates r (x in form s, f(x) in form h) and net inputs are (N, T, B); E and I units are
those of Dale's law.
"""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for name in penalties.names():
        function = penalties.get(name)
        if not function.__module__.startswith("models."):
            continue
        arguments = list(inspect.signature(function).parameters.values())[1:]
        parts.append(f"### `{name}`\n\n{inspect.getdoc(function)}\n")
        if arguments:
            shown = ", ".join(f"`{a.name}` = {a.default}" for a in arguments)
            parts.append(f"Arguments: {shown}.\n")
    return "\n".join(parts)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
