"""The tables of workers: their heartbeats, jobs that were lost with a worker, and leases."""

from __future__ import annotations

import datajoint as dj

from ..database import schemas

# Heartbeats that a worker must miss until it counts as dead.
MISSED_HEARTBEATS = 4
# States of workers that live, as far as is known; also as SQL has a list.
LIVE_STATES = ("idle", "working", "waiting")


@schemas.work
class Worker(dj.Manual):
    definition = """
    # worker process; its number stands in the column connection_id of the jobs it has reserved
    worker_id : int64              # drawn at random: nobody has it again
    ---
    host          : varchar(255)   # machine
    pid           : int32          # process there
    device        : varchar(64)    # torch device
    n_threads     : int32          # threads of the process
    code_version  : varchar(64)    # package version and commit
    session_id=0  : int64          # the server's number of its session
    state         : enum('idle', 'working', 'waiting', 'ended', 'lost')  # lost: its beats stopped
    note=""       : varchar(255)   # what it waits for, or how it ended
    started_at    : datetime(3)    # UTC, by the server's clock, as all times here
    beat_at       : datetime(3)    # last heartbeat
    beat_seconds  : float64        # time from one heartbeat to the next (s)
    n_done=0      : int32          # jobs that it finished
    job_table=""  : varchar(64)    # table that it works on at the last heartbeat
    job_key=null  : json           # primary key of that job
    job_began_at=null    : datetime(3)
    first_iteration=null : int32   # iteration from which it goes on; 0: from the beginning
    iteration=null       : int32   # iteration at the last heartbeat
    n_iterations=null    : int32   # of so many
    loss=null            : float64 # mean loss of the cohort at that iteration
    live_curves=null     : json    # of the training: iterations, mean loss and its terms so far
    index (state, beat_at)
    """


@schemas.work
class LostJob(dj.Manual):
    definition = """
    # job whose worker died while it had it
    job_table : varchar(64)
    job_hash  : varchar(36)      # hash of the job's key
    worker_id : int64            # worker that died
    ---
    job_key   : json
    lost_at   : datetime(3)
    first_iteration=null : int32 # iteration from which that worker went on
    reason    : varchar(255)     # how the worker died
    counts=1  : bool             # whether it counts against the job: not after a retry
    """


@schemas.work
class MissingClass(dj.Manual):
    definition = """
    # class that a worker could not import: jobs that need it wait for another worker
    worker_id  : int64
    class_name : varchar(190)    # "package.module:ClassName", or the name of a task with an extra
    ---
    reason     : varchar(500)
    missed_at  : datetime(3)
    """


@schemas.work
class Errand(dj.Lookup):
    # The table of leases (`pipeline.workers.leases`): its name is that of the released version.
    definition = """
    # what one worker does for all, now and then
    errand : varchar(32)
    ---
    began_at=null    : datetime(3)
    finished_at=null : datetime(3)
    worker_id=0      : int64     # who does it, or did it last
    """
    contents = [{"errand": "enter_jobs"}, {"errand": "reap"}]
