#!/usr/bin/env bash
# Make the virtual environment named by the first argument, with the pinned dependencies.
set -euo pipefail
venv=$1

fits() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
}

python=
for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
  if command -v "$candidate" >/dev/null && fits "$candidate"; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "error: no Python 3.11, 3.12 or 3.13 on the PATH; install one, or run make PYTHON=/path/to/it" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "error: $python has no venv module; install it (on Debian and Ubuntu: apt install python3-venv)" >&2
  exit 1
fi

echo "Setting up $venv with $("$python" --version)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pinned() { sed -n "s/^\($1==[^ ;]*\).*/\1/p" constraints.txt; }
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt)
"${pip[@]}" "$(pinned uv)"
# torch by pip, which is told of builds that lie on disk, and by its exact version, so that such a
# build is taken. What is not compiled here is compiled when it is first imported.
"${pip[@]}" --no-compile "$(pinned torch)"
# The rest by uv: seconds instead of minutes. It has settings of its own for indexes and proxies;
# where it reaches none, pip does it.
wanted='.[dev,docs,notebook,neurogym]'
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" -c constraints.txt -e "$wanted" ||
  "${pip[@]}" -e "$wanted"
