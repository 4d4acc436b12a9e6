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
    curl \
    debhelper \
    dh-virtualenv \
    fish \
    fonts-inter \
    libfaketime \
    man-db \
    mandoc \
    openssl \
    prometheus \
    prometheus-alertmanager \
    python3-venv \
    strace \
    systemd \
    zsh
# For the schemas of Grafana, and the types of the page. NodeSource's nodejs brings an npm of its own, and refuses Debian's.
command -v npm >/dev/null || tools/system_packages.sh nodejs npm

set -x
ruff format --check .
ruff check .
mypy
tools/check_test_types.sh
lint-imports --no-cache
python tools/gen_reference.py --check
python tools/gen_wire_types.py --check
python tools/gen_compatibility.py --check
python -m alerts.generate --check
python -m grafana.generate --check
python -m tools.site.figures --check
set +x

echo "seed: $seed (repeat with SEED=$seed make test)"
exec pytest -q -n "$jobs" --randomly-seed="$seed" "$@"
