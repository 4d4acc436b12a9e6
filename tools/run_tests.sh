#!/bin/sh
# Everything CI runs, fast things first. The last line is pytest's own, and is the verdict.
# SEED=n repeats an order; JOBS=n sets how many tests run side by side.
set -eu
cd "$(dirname "$0")/.."

seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
# Most tests wait for processes rather than compute: more of them than cores.
jobs=${JOBS:-$(($(nproc) * 2))}

# What the tests run against.
tools/system_packages.sh \
    chromium \
    fonts-inter \
    prometheus \
    prometheus-alertmanager
# For the schemas of Grafana. NodeSource's nodejs brings an npm of its own, and refuses Debian's.
command -v npm >/dev/null || tools/system_packages.sh nodejs npm

set -x
ruff format --check .
ruff check .
mypy
tools/check_test_types.sh
lint-imports --no-cache
python tools/gen_reference.py --check
python tools/gen_compatibility.py --check
python -m alerts.generate --check
python -m grafana.generate --check
set +x

echo "seed: $seed (repeat with SEED=$seed make test)"
exec pytest -q -n "$jobs" --randomly-seed="$seed" "$@"
