#!/usr/bin/env bash
# Workers as an array of SLURM jobs; see cluster/README.md. Options of sbatch come before the
# script, those of `rnn worker` after it:
#
#   sbatch --array=1-200 cluster/slurm/workers.sh
#   sbatch --array=1-20 --gpus-per-task=1 --partition=gpu cluster/slurm/workers.sh --device cuda
#
# An element works until nothing is left. If it is stopped before, by preemption, by the time limit
# or with its node, it starts again and goes on from the last checkpoint.
#SBATCH --job-name=rnn-worker
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=2G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=rnn-worker-%A_%a.log
# A minute before the time limit this shell, and nothing else, gets USR1.
#SBATCH --signal=B:USR1@60
set -uo pipefail

# How to reach the database and the store: from the shell that submitted, or from a file.
settings=${RNN_SETTINGS_FILE:-$HOME/.config/rnn/settings}
if [ -f "$settings" ]; then
  if [ -n "$(find -L "$settings" -perm /077)" ]; then
    echo "error: RNN_SETTINGS_FILE = $settings: others may read it; chmod 600 $settings" >&2
    exit 1
  fi
  set -a
  # shellcheck disable=SC1090
  source "$settings"
  set +a
fi
if [ -z "${DJ_HOST:-}" ] || [ -z "${RNN_STORE:-}" ]; then
  echo "error: DJ_HOST or RNN_STORE is not set; write them to $settings, see cluster/README.md" >&2
  exit 1
fi

threads=${SLURM_CPUS_PER_TASK:-1}
export OMP_NUM_THREADS=$threads

say() { echo "$(date +%FT%T) job ${SLURM_JOB_ID} (start $((${SLURM_RESTART_COUNT:-0} + 1))): $*"; }

say "starts on $(hostname)"
rnn worker --quiet --patient --threads "$threads" "$@" &
worker=$!
told=
# What ends a job sends TERM to all its processes, the worker too. This shell only has to outlive
# the worker: SLURM kills what is left when it ends.
trap 'told=${told:-TERM}' TERM
trap 'told=USR1; kill -TERM "$worker" 2>/dev/null' USR1

# A trap interrupts `wait`, so it is asked again until the worker is gone.
while kill -0 "$worker" 2>/dev/null; do wait "$worker"; done
wait "$worker"
status=$?
say "worker ended with $status${told:+ after $told}"
[ -n "$told" ] || exit "$status"

# Stopped before the work was done. Where the job is being preempted, cancelled or requeued, SLURM
# does what is due. Where it still runs (the last minute of its time, or a preemption that is only
# announced), it asks for a new start itself, which SLURM grants after two minutes.
state=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T 2>/dev/null)
if [ "$state" != RUNNING ]; then
  say "leaves the rest to SLURM: the job is ${state:-gone}"
  exit "$status"
fi
limit=${RNN_MAX_RESTARTS:-1000}
if [ "${SLURM_RESTART_COUNT:-0}" -ge "$limit" ]; then
  say "does not start again: RNN_MAX_RESTARTS = $limit is reached"
  exit "$status"
fi
say "asks for a new start"
scontrol requeue "$SLURM_JOB_ID"
