"""How a job ends that was not done: given back, failed, or dropped because it was deleted."""

from __future__ import annotations

import time
import traceback

import datajoint as dj

from tasks_lib.errors import text_of

from ..transient.errors import is_transient
from .job import Job


def give_back(job: Job) -> None:
    """Give a job back; where the server does not answer, others find it later."""
    give = lambda c: job.queue.give_back(c, job.key, job.heartbeat.worker_id)  # noqa: E731
    for _ in range(3):  # the row may be locked until the server has rolled back
        try:
            job.heartbeat.on_connection(give)
            return
        except Exception as error:
            if not is_transient(error):
                raise
            time.sleep(0.2)


def fail(job: Job, connection: dj.Connection, message: str, error: BaseException) -> bool:
    """Record why a job failed; return whether it was still this worker's."""
    stack = storable("".join(traceback.format_exception(error)))
    return job.queue.fail(connection, job.key, job.heartbeat.worker_id, message, stack)


def discard_deleted(job: Job, connection: dj.Connection) -> bool:
    """Drop a job that was deleted, or whose key has gone, with what it left; return whether so."""
    query, arguments = job.wanted
    if connection.query(query, args=arguments).fetchone() is not None and (
        job.heartbeat.declared_dead.is_set()  # then another worker has it, or has done it
        or job.queue.is_there(connection, job.key)
        or len(job.queue.table() & job.key)
    ):
        return False
    job.queue.remove(connection, job.key, job.heartbeat.worker_id)
    job.uncertain_files.remove()
    if "checkpoints" in vars(job):
        job.checkpoints.remove()
    return True


def is_device_broken(error: BaseException) -> bool:
    """Return whether an error left the GPU unusable for this process; out of memory does not."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return False
    broken = getattr(torch, "AcceleratorError", ())
    return isinstance(error, broken) or (
        isinstance(error, RuntimeError) and "CUDA error" in text_of(error)
    )


def storable(text: str) -> str:
    """Return a text that both back ends can store: no NUL, no unpaired surrogates."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
