#!/usr/bin/env bash
# A real SLURM of one node for tests, on loopback: Debian's packages, and all state in a folder of
# its own. Needs root and apt; neither systemd nor cgroups.
#
#   slurm.sh install          install the packages (once; ~10 s)
#   slurm.sh start DIR        start munged, slurmctld and slurmd; DIR/env says how to reach them
#   slurm.sh stop DIR         cancel all jobs and stop them
#
# Two partitions share the node: jobs of `urgent` preempt those of `low`, which are requeued.
set -euo pipefail

processors=4 # of the node, whatever the machine has
grace=${RNN_SLURM_GRACE:-0} # seconds between the announcement of a preemption and its execution

install_packages() {
  command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null \
    && command -v sbatch >/dev/null && return 0
  command -v apt-get >/dev/null || { echo "error: no apt-get here: install SLURM and munge" >&2; exit 1; }
  local log
  log=$(mktemp)
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --no-install-recommends slurmctld slurmd slurm-client munge; } \
    >"$log" 2>&1; then
    echo "error: the packages cannot be installed:" >&2
    tail -n 10 "$log" >&2
    exit 1
  fi
  rm -f "$log"
}

free_ports() {
  python3 - <<'PYTHON'
import socket
sockets = [socket.socket() for _ in range(2)]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))
PYTHON
}

write_settings() {
  local dir=$1 host=$2 controller daemon
  read -r controller daemon < <(free_ports)
  cat >"$dir/slurm.conf" <<SETTINGS
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller
SlurmdPort=$daemon
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
# A container without systemd and perhaps without cgroups.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SlurmdParameters=config_overrides
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=15
NodeName=$host NodeAddr=127.0.0.1 CPUs=$processors State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES MaxTime=1440 PriorityTier=1 PreemptMode=REQUEUE GraceTime=$grace State=UP
PartitionName=urgent Nodes=ALL MaxTime=1440 PriorityTier=10 PreemptMode=OFF State=UP
SETTINGS
}

start_servers() {
  local dir=$1 host
  install_packages
  mkdir -p "$dir/state" "$dir/spool"
  dir=$(cd "$dir" && pwd)
  host=$(hostname -s)
  head -c 1024 /dev/urandom >"$dir/munge.key"
  chmod 600 "$dir/munge.key"
  write_settings "$dir" "$host"
  # --force: root may run it, and the folder may be anywhere.
  munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" \
    --pid-file="$dir/munged.pid" --log-file="$dir/munged.log" --seed-file="$dir/munged.seed" \
    2>>"$dir/munged.out"
  SLURM_CONF=$dir/slurm.conf slurmctld -c
  SLURM_CONF=$dir/slurm.conf slurmd
  echo "export SLURM_CONF=$dir/slurm.conf" >"$dir/env"
  for _ in $(seq 60); do
    if [ "$(SLURM_CONF=$dir/slurm.conf sinfo --noheader --partition=low --format=%t 2>/dev/null)" = idle ]; then
      return 0
    fi
    sleep 0.5
  done
  echo "error: SLURM did not start:" >&2
  tail -n 10 "$dir"/slurmctld.log "$dir"/slurmd.log "$dir"/munged.log >&2
  stop_servers "$dir"
  exit 1
}

stop_servers() {
  local dir=$1 pid
  if [ -f "$dir/env" ]; then
    SLURM_CONF=$dir/slurm.conf timeout 20 scancel --user=root --signal=KILL --full 2>/dev/null || true
    SLURM_CONF=$dir/slurm.conf timeout 20 scancel --user=root 2>/dev/null || true
    sleep 1
  fi
  for name in slurmd slurmctld munged; do
    pid=$(cat "$dir/$name.pid" 2>/dev/null || true)
    [ -n "$pid" ] && kill "$pid" 2>/dev/null || continue
    for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || break; sleep 0.25; done
    kill -9 "$pid" 2>/dev/null || true
  done
}

case "${1:-}" in
  install) install_packages ;;
  start) start_servers "$2" ;;
  stop) stop_servers "$2" ;;
  *) sed -n '2,9p' "$0" >&2; exit 2 ;;
esac
