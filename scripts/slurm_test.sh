#!/usr/bin/env bash
# Workers on a real SLURM with a real MySQL and a server that speaks S3, preempted in the middle:
# installs and starts all of it, says what happens, and takes it down again. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."

servers=$(mktemp -d)
finish() {
  [ -f "$servers/env" ] && bash scripts/mysql.sh stop "$servers"
  rm -rf "$servers"
}
trap finish EXIT

bash scripts/slurm.sh install
if [ -z "${RNN_TEST_MYSQL_HOST:-}" ]; then
  bash scripts/mysql.sh start "$servers"
  # shellcheck disable=SC1091
  source "$servers/env"
fi
export RNN_TEST_REQUIRE=slurm OMP_NUM_THREADS=1
.venv/bin/python -m pytest -q -s -m slurm tests/test_slurm.py "$@"
