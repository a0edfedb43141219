"""Training: cohorts and the networks that come out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import datajoint as dj

import models
from models.machine.kernels import kernels_of
from models.network.blocks import check_channels
from tasks_lib.errors import MAX_COUNT, ParameterError, check_choice, check_int
from tasks_lib.sizes import check_bytes

from ..database import schemas
from ..database.types import Query
from ..progress import progress_bar
from . import training_together
from .checked import CheckedTable
from .current_job import CurrentJobs, current_job
from .in_use import entering_alone, refuse_in_use
from .network import NetworkParams
from .network_groups import grouped
from .network_rows import (
    curves_of,
    learning_curve,
    load_network,
    network_columns,
    term_curves,
    term_rows,
)
from .one_row import one_key, one_row
from .parameter_sets import TABLES_BY_COLUMN
from .parameters import check_name, check_text
from .provenance import provenance
from .recorded import load_snapshot, snapshot_rows, trace_of, trace_rows
from .rows import Row
from .task import Task
from .training_params import IMPORTED, TrainingParams  # noqa: F401  (named in a definition)
from .training_rows import TrainingRows, train_from_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from xarray import Dataset

MOST_NETWORKS = 10**6  # of a cohort: each is a row with files, and all are inserted together


def only_imported(field: str, name: str) -> ParameterError:
    """Return the error that imported networks have a training of their own, and others another."""
    problem = f"only imported networks have the training {IMPORTED!r}, and no other"
    return ParameterError(
        field, name, problem, "name a training that you entered, or use import_network"
    )


@schemas.training
class Cohort(CheckedTable, dj.Manual):
    definition = """
    # networks alike but for their seed, trained together
    -> Task
    -> NetworkParams
    -> TrainingParams
    first_seed : int32  # seeds are first_seed, first_seed + 1, ...
    ---
    n_networks : int32  # number of networks
    origin='trained' : enum('trained', 'imported')  # imported: trained elsewhere, never here
    """

    remedy = "enter the networks as a cohort with another first_seed"

    def checked(self, row: Row) -> Row:
        """Return the complete row: its parameters are there, its seeds and numbers are sensible."""
        row = {"origin": "trained", **row}
        check_choice("origin", row["origin"], ("trained", "imported"))
        for field, table in TABLES_BY_COLUMN.items():
            name = {field: check_text(field, row.get(field))}
            if not table & name:
                check_name(field, row[field])
                remedy = f"enter it in {table.__name__}, or name one that exists"
                raise ParameterError(field, row[field], "has not been entered", remedy)
        if (row["training_name"] == IMPORTED) != (row["origin"] == "imported"):
            raise only_imported("training_name", row["training_name"])
        row["first_seed"] = check_int("first_seed", row.get("first_seed"), 0, MAX_COUNT)
        row["n_networks"] = check_int("n_networks", row.get("n_networks"), 1, MOST_NETWORKS)
        self.refuse_size(row)
        return row

    def in_turn(self) -> AbstractContextManager[None]:
        """Return what keeps others from entering cohorts, whose seeds may be the same."""
        return entering_alone(self.connection, schemas.task.database)

    def enter(self, row: Row, skip_duplicates: bool) -> None:
        """Insert a checked cohort, if it is not there."""
        self._refuse_overlap(row)
        super().enter(row, skip_duplicates)

    def change(self, key: Row, stored: Row, new: Row) -> None:
        """Change a cohort, which is locked and not in use."""
        self._refuse_overlap(self.checked(new))
        super().change(key, stored, new)

    def refuse_in_use(self, key: Row) -> None:
        """Refuse to change a cohort on which something hangs, of which `LeftOut` is nothing."""
        refuse_in_use(self, key, self.remedy, besides=("left_out",))

    def refuse_size(self, row: dict[str, Any]) -> None:
        """Refuse more networks than a machine holds, by their weights alone, in float32.

        And networks whose blocks name channels that the task does not have.
        """
        network = (NetworkParams & {"network_name": row["network_name"]}).fetch1()
        n_units = network["n_units"]
        task = Task & {"task_name": row["task_name"]}
        n_inputs, n_outputs = task.fetch1("n_inputs", "n_outputs")
        check_channels(network.get("blocks") or {}, int(n_inputs), int(n_outputs))
        each = 4 * n_units * (n_units + n_inputs + n_outputs + 2)
        what = f"the weights of so many networks of {n_units} units"
        needed = row["n_networks"] * each
        check_bytes("n_networks", row["n_networks"], needed, what, "use several cohorts")

    def _refuse_overlap(self, row: dict[str, Any]) -> None:
        """Refuse seeds beyond the column's range, and those that another cohort trains already."""
        first, number = row["first_seed"], row["n_networks"]
        others = zip(*self.sharing(row).to_arrays("first_seed", "n_networks"), strict=True)
        self.refuse_shared_seeds(first, number, [(s, n) for s, n in others if s != first])

    @staticmethod
    def sharing(row: dict[str, Any]) -> Query:
        """Return the cohorts of the same parameters that have some of a cohort's seeds."""
        first, alike = (
            row["first_seed"],
            {k: row[k] for k in Cohort.primary_key if k != "first_seed"},
        )
        stop = first + row["n_networks"]
        return Cohort & alike & f"first_seed < {stop} and first_seed + n_networks > {first}"

    @staticmethod
    def refuse_shared_seeds(first: int, number: int, others: Iterable[tuple[int, int]]) -> None:
        """Refuse so many seeds from a first one on, where other cohorts have some of them.

        Parameters
        ----------
        first, number : int
        others : iterable of tuple
            First seed and number of other cohorts of the same parameters.
        """
        last = first + number - 1
        if last > MAX_COUNT:
            raise ParameterError(
                "first_seed", first, f"leads to seed {last}", f"stay below {MAX_COUNT}"
            )
        for start, n_networks in others:
            stop = start + n_networks - 1
            if start <= last and first <= stop:
                raise ParameterError(
                    "first_seed",
                    first,
                    f"a cohort of these parameters has the seeds {start} to {stop}",
                    f"start at {stop + 1} or later",
                )


def _network(row: Row) -> tuple[Any, ...]:
    """Return the key of the network that a row is of."""
    return tuple(row[name] for name in Training.Network.primary_key)


@schemas.training
class Training(dj.Computed):
    definition = """
    # training of one cohort
    -> Cohort
    ---
    device          : varchar(64)   # torch device it ran on
    iterations      : int32         # optimiser steps asked for; 0: imported
    seconds         : float64       # wall time (s)
    code_version    : varchar(64)   # package version and commit
    code_dirty      : bool          # whether the code had uncommitted changes
    python_version  : varchar(32)
    torch_version   : varchar(64)
    numpy_version   : varchar(32)
    trained_at      : datetime      # end of training, or of the import, UTC
    n_together=1    : int32         # cohorts trained as one batch, it included; seconds: its share
    product_precision='ieee' : enum('ieee', 'bf16x6')  # in which it multiplied
    kernels=null    : varchar(255)  # kernels of BLAS and torch and processor, or GPU; null: unknown
    """

    class Network(dj.Part):
        definition = """
        # one network
        -> master
        seed            : int32         # the network's own seed
        ---
        status          : enum('finished', 'diverged', 'imported')  # diverged: last finite weights
        iterations_done : int32         # optimiser steps that the weights have seen
        loss=null       : float64       # of the last finite iteration; null: imported
        r2=null         : float64       # noise-free R^2 pooled over the training's own trials
        w_rec           : <npy@main>    # W_rec, recurrent weights (N, N)
        w_inp           : <npy@main>    # W_inp, input weights (N, n_inputs)
        w_out           : <npy@main>    # W_out, readout weights (n_outputs, N)
        b_rec           : <npy@main>    # biases (N,)
        x_init          : <npy@main>    # initial state (N,)
        loss_curve      : <npy@main>    # loss of each iteration done, past the best weights too
        stopped_by=null : enum('score', 'patience')  # what ended it before its last iteration
        score_curve     : <npy@main>    # iteration and R^2 of each validation (V, 2)
        """

        def load(self) -> models.RNNNumpy:
            """Return the one network that this query selects, for analysis.

            Raises
            ------
            datajoint.DataJointError
                Where the query does not select exactly one network.
            """
            row = one_row(self)
            config = NetworkParams.build((NetworkParams & row).fetch1())
            return load_network(row, config)

        def trials(self, **options: Any) -> Dataset:
            """Return the activity of the one network that this query selects, in trials.

            On the task that it was trained on, unless ``inputs`` are given; all options are those
            of `models.get_trials`. The dataset's attributes say which network it is.

            Raises
            ------
            datajoint.DataJointError
                Where the query does not select exactly one network.
            """
            network = self.load()
            key = one_key(self)
            task = options.pop("task", None) or Task.build((Task & key).fetch1())
            key["network_seed"] = key.pop("seed")  # ``seed`` is that of the trials
            return models.get_trials(network, task, **options).assign_attrs(key)

        def plot_training(self, by: str | None = None) -> Figure:
            """Return the figure of the training of the networks of this query, overlaid.

            Losses and validation scores, and the terms of the losses and the norms of their
            gradients where there are any. Those of one network share panels.

            Parameters
            ----------
            by : str, optional
                Column of their parameters or of their key that tells groups apart, "lr" or
                "network_name", say. By default those names of their key that differ. Groups of
                numbers (a sweep's) have colours in their order.

            Raises
            ------
            ParameterError
                Where none was trained here, for a column that does not exist, and where there are
                more groups than can be told apart.
            """
            rows, groups, values = grouped(self, by)
            of_network = defaultdict(list)
            for term in (Training.Term & self.proj()).to_dicts(order_by="KEY"):
                of_network[_network(term)].append(term)
            if len(rows) == 1 and of_network:
                losses, gradients = term_curves(of_network[_network(rows[0])])
                return models.plot_loss_terms(losses, gradients, curves_of(rows[0])[1])
            return models.plot_learning_curves(
                [
                    learning_curve(row, group, of_network[_network(row)], value)
                    for row, group, value in zip(rows, groups, values, strict=True)
                ]
            )

    class Term(dj.Part):
        # Names of their own: a query of this table is to restrict Network, and one of
        # TrainingParams.Penalty this table.
        definition = """
        # term of a network's loss, where there are penalties or the training was monitored
        -> Training.Network
        term : varchar(128)           # task, or a penalty's name
        ---
        term_weight         : float64      # lambda; 1: the task
        final_loss=null     : float64      # of the last finite iteration, before its weight
        final_gradient=null : float64      # norm of its gradient then; null: not monitored
        term_curve          : <npy@main>   # loss of each iteration done, before its weight
        gradient_curve=null : <npy@main>   # norm of its gradient times its weight
        """

        def plot(self) -> Figure:
            """Return the figure of the terms that this query selects, of one network.

            Raises
            ------
            ParameterError
                Where the query does not select terms of exactly one network.
            """
            rows = self.to_dicts(order_by="KEY")
            networks = set(map(_network, rows))
            if len(networks) != 1:
                raise ParameterError(
                    "query",
                    f"{len(networks)} networks",
                    "are not one network with terms",
                    "restrict it to one that has penalties or was monitored",
                )
            return models.plot_loss_terms(*term_curves(rows))

    class Trace(dj.Part):
        definition = """
        # what was recorded of a network after some iterations of its training
        -> Training.Network
        trace_iteration : int32      # optimiser steps done
        ---
        trace_status    : enum('traced', 'partly', 'not_finite')  # partly: some is not defined
        trace_reason    : varchar(512)    # what is null and why; empty: nothing is
        trace_participation=null : float64  # participation ratio of the rates, noise-free
        trace_n_silent=null      : int32    # units whose |r| stays below 0.001
        change_100=null     : float64  # norm of the change of the weights over 100 iterations
        change_1000=null    : float64  # over 1,000
        change_10000=null   : float64  # over 10,000
        cosine_100=null     : float64  # of that change with the one over the 100 iterations before
        cosine_1000=null    : float64  # over 1,000
        cosine_10000=null   : float64  # over 10,000
        gradient_square=null   : float64  # unbiased estimate of |G|^2, the task's loss
        gradient_variance=null : float64  # unbiased estimate of its variance from trial to trial
        gradient_noise_scale=null : float64  # their ratio, in trials; null: no square above 0
        """

        def plot(self) -> Figure:
            """Return the figure of the traces that this query selects, a line a network."""
            of_network = defaultdict(list)
            for row in self.to_dicts(order_by="KEY"):
                of_network[_network(row)].append(trace_of(row))
            return models.plot_traces(list(of_network.values()))

    class Snapshot(dj.Part):
        definition = """
        # weights of a network after some iterations of its training
        -> Training.Network
        snapshot_iteration : int32     # optimiser steps done; 0: before training
        ---
        snapshot_w_rec  : <npy@main>   # W_rec (N, N)
        snapshot_w_inp  : <npy@main>   # W_inp (N, n_inputs)
        snapshot_w_out  : <npy@main>   # W_out (n_outputs, N)
        snapshot_b_rec  : <npy@main>   # biases (N,)
        snapshot_x_init : <npy@main>   # initial state (N,)
        """

        def load(self) -> models.RNNNumpy:
            """Return the network that this query selects, as it was then.

            Raises
            ------
            datajoint.DataJointError
                Where the query does not select exactly one snapshot.
            """
            return load_snapshot(one_row(self))

    class Source(dj.Part):
        definition = """
        # file that an imported network came from
        -> master
        ---
        file   : varchar(255)  # its name
        format : varchar(16)   # seed-json, seed-npz, npz or state_dict
        sha256 : varchar(64)   # of its content
        notes  : json          # what it does not say, or what could not be taken over
        unique index (task_name, sha256)
        """

    @property
    def key_source(self) -> Query:
        """The cohorts to be trained here: imported ones are not."""
        return (Cohort & {"origin": "trained"}).proj()

    def make_fetch(self, key: dict[str, Any]) -> tuple[Any, ...]:
        """Fetch the parameters; no arrays."""
        return (TrainingRows.fetch(key), (Cohort & key).fetch1("n_networks"))

    def make_compute(
        self, key: dict[str, Any], rows: TrainingRows, n_networks: int
    ) -> tuple[Any, ...]:
        """Train the cohort; a worker's job resumes from its checkpoint and can be stopped."""
        first = int(key["first_seed"])
        job = current_job()
        with progress_bar(f"{key['task_name']}/{key['network_name']}") as show:

            def report(step: int, n_steps: int, loss: float) -> None:
                show(step, n_steps, loss)
                if job is not None:
                    job.report(step, n_steps, loss)

            with (
                nullcontext() if job is None else models.watching(job.watch),
                nullcontext({}) if job is None else job.checking_stop() as options,
            ):
                result = train_from_rows(
                    rows,
                    seeds=range(first, first + int(n_networks)),
                    progress=report,
                    **options,
                )
        return (result, int(rows.training["max_iter"]), rows.weights)

    # Together: what workers ask (`pipeline.workers.steps.ComputedTogether`) -----------------------

    def may_share(
        self, key: Row, rows: TrainingRows, n_networks: int, device: str | None, pays: bool
    ) -> bool:
        """Return whether a batch may have room for other cohorts; if ``pays``, where it pays."""
        return training_together.may_share(rows, device, pays)

    def alike(self, key: Row, rows: TrainingRows, n_networks: int) -> dict[str, list[str]]:
        """Return the parameter sets of cohorts that may be one batch with this one, by column."""
        return training_together.alike(rows)

    def room(
        self, key: Row, rows: TrainingRows, n_networks: int, device: str | None, pays: bool
    ) -> int:
        """Return how many networks more one batch has room for; if ``pays``, where it pays."""
        return training_together.networks_together(rows, device, pays) - int(n_networks)

    def companions(
        self, key: Row, rows: TrainingRows, n_networks: int, candidates: Sequence[Row], room: int
    ) -> list[Row]:
        """Return those of some keys that can be one batch with this one, as many as have room."""
        numbers = {
            tuple(row[name] for name in Cohort.primary_key): int(row["n_networks"])
            for row in (Cohort & list(candidates)).proj("n_networks").to_dicts()
        }
        names = Cohort.primary_key
        sizes = [numbers.get(tuple(k[n] for n in names), MOST_NETWORKS) for k in candidates]
        return training_together.that_fit(rows, candidates, sizes, room)

    def make_compute_together(
        self, keys: Sequence[Row], fetched: Sequence[Any], jobs: CurrentJobs
    ) -> Iterator[tuple[int, tuple[Any, ...] | None]]:
        """Train cohorts as one batch; yield the place and what `make_insert` takes of each."""
        return training_together.train_together(keys, fetched, jobs)

    def make_insert(
        self, key: dict[str, Any], result: Any, max_iter: int, weights: dict[str, float]
    ) -> None:
        """Insert the cohort, its networks, and what was recorded of them."""
        self.insert1(
            {
                **key,
                "device": result.device,
                "iterations": max_iter,
                "seconds": result.seconds,
                "n_together": result.n_together,
                "product_precision": result.product_precision,
                "kernels": kernels_of(result.device)[:255],
                **provenance(),
            }
        )
        self.Network.insert(
            {**key, "seed": network.seed, **network_columns(network)} for network in result.networks
        )
        self.Term.insert(
            {**key, "seed": network.seed, **row}
            for network in result.networks
            for row in term_rows(network, weights)
        )
        for part, rows_of in ((self.Trace, trace_rows), (self.Snapshot, snapshot_rows)):
            for network in result.networks:
                own = {**key, "seed": network.seed}
                part.insert({**own, **row} for row in rows_of(network))
