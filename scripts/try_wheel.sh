#!/usr/bin/env bash
# Install a wheel into a clean environment and try it there: the command, the demonstration on the
# embedded database, and tests that run outside of the checkout, which has the packages too.
#
#   PYTHON=python3.12 scripts/try_wheel.sh lowest|highest dist/rnn_pipeline-0.2.0-py3-none-any.whl
#
# lowest: of every dependency the lowest version that pyproject.toml allows and that has a wheel for
# this Python (a version that would have to be compiled is none); highest: the newest ones.
# TORCH=torch==2.13.0 has pip install that torch first, from wherever it finds it, in place of the
# lowest or highest one. KEEP=FOLDER is a folder that stays.
set -euo pipefail
case "${1:-} ${2:-}" in "lowest "?*.whl | "highest "?*.whl) ;; *) sed -n '2,12p' "$0" >&2; exit 2 ;; esac
[ -f "$2" ] || { echo "error: $2 is not there" >&2; exit 2; }
versions=$1
wheel=$(readlink -f "$2")
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
torch=${TORCH:-}
folder=${KEEP:-$(mktemp -d)}
[ -n "${KEEP:-}" ] || trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder"

"$python" -m venv "$folder/tools"
"$folder/tools/bin/pip" install --quiet uv
uv=$folder/tools/bin/uv
minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
pins=$folder/pins.txt
resolution=highest
[ "$versions" = highest ] || resolution=lowest-direct
"$uv" pip compile pyproject.toml --quiet --resolution "$resolution" --python-version "$minor" \
  --no-build --no-header --no-annotate --output-file "$pins"

"$python" -m venv "$folder/venv"
in=$folder/venv/bin
if [ -n "$torch" ]; then
  "$in/pip" install --quiet "$torch"
  # What that torch brought stays as it is; its own libraries are not among the lowest.
  sed -i -E '/^(torch|triton|nvidia-.*|cuda-.*)==/d' "$pins"
fi
"$uv" pip install --quiet --python "$in/python" --no-build -r "$pins" pytest pytest-timeout \
  pytest-xdist hypothesis
"$uv" pip install --quiet --python "$in/python" --no-deps "$wheel"
"$uv" pip check --python "$in/python"
"$uv" pip freeze --python "$in/python" >"$folder/freeze.txt"

# Tests and what they read, without the packages.
mkdir -p "$folder/outside"
git ls-files -z -- . ':!models' ':!pipeline' ':!tasks_lib' ':!studies' ':!rnn_start' |
  tar --create --null --files-from=- | tar --extract --directory "$folder/outside"
cd "$folder/outside"
unset PYTHONPATH
export RNN_HOME=$folder/home COLUMNS=100
began=$SECONDS
"$in/rnn" --version
"$in/rnn" --help >/dev/null
"$in/rnn" demo
echo "demonstration: $((SECONDS - began)) s"
began=$SECONDS
# NeuroGym asks for exact versions: it is not among the lowest nor the highest.
"$in/python" -m pytest -q -n 2 --dist loadfile -m "not mysql and not slow and not slurm" \
  -k "not neurogym and not our_own_tasks_and_penalties_are_always_allowed" \
  tests/tasks_lib tests/models tests/pipeline/test_chain.py tests/pipeline/test_rows.py \
  tests/pipeline/test_inserting.py tests/pipeline/test_export.py ${PYTEST_ARGS:-}
echo "$versions versions on Python $minor: the demonstration and the tests pass ($((SECONDS - began)) s)"
