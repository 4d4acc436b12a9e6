# The front door. `make run` and `make test` set up whatever they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := opsvisor alerts grafana tests tools benchmarks examples

.PHONY: run stack test check format docs previews screenshots soak fuzz bench bench-setup bench-growth site dist deb clean

run: $(VENV)/.runtime
	@mkdir -p run
	@echo "In another terminal: $(BIN)/opsvisorctl -c examples/predicaments.toml"
	@exec $(BIN)/opsvisord -c examples/predicaments.toml

# Prometheus and Alertmanager beside it. ARGS="--help" says what can be changed.
stack: $(VENV)/.dev
	@tools/system_packages.sh prometheus prometheus-alertmanager
	@exec $(BIN)/python -m tools.stack $(ARGS)

test: $(VENV)/.dev
	@PATH="$(CURDIR)/$(BIN):$$PATH" tools/run_tests.sh

check: $(VENV)/.dev
	@tools/system_packages.sh fonts-inter
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/check_test_types.sh
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports --no-cache
	$(BIN)/python tools/gen_reference.py --check
	$(BIN)/python tools/gen_wire_types.py --check
	$(BIN)/python tools/gen_compatibility.py --check
	$(BIN)/python -m alerts.generate --check
	$(BIN)/python -m grafana.generate --check
	$(BIN)/python -m tools.site.figures --check
	$(BIN)/pytest -q -n auto tests/core tests/config tests/compat --ignore tests/core/test_mutants.py

format: $(VENV)/.dev
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

docs: $(VENV)/.dev
	@tools/system_packages.sh fonts-inter
	$(BIN)/python tools/gen_reference.py
	$(BIN)/python tools/gen_wire_types.py
	$(BIN)/python tools/gen_compatibility.py
	$(BIN)/python -m alerts.generate
	$(BIN)/python -m grafana.generate
	$(BIN)/python -m tools.site.figures

# The pages of docs/ as a site, in site/.
site: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# Pictures of the dashboards, for docs/images: takes ten minutes of real load.
previews: $(VENV)/.dev
	tools/system_packages.sh chromium fonts-inter pngquant prometheus prometheus-alertmanager
	$(BIN)/python -m tools.previews

# Pictures of the daemon's own page, for docs/images: takes some minutes.
screenshots: $(VENV)/.dev
	tools/system_packages.sh chromium fonts-inter pngquant
	$(BIN)/python -m tools.screenshots

# The soak that the tests have ten minutes of, for an hour; SECONDS=28800 for a night.
SECONDS ?= 3600
soak: $(VENV)/.dev
	SOAK_SECONDS=$(SECONDS) $(BIN)/pytest -s -o faulthandler_timeout=0 tests/soak

# The search for requests that the API can't bear, for longer than the tests have.
EXAMPLES ?= 50000
fuzz: $(VENV)/.dev
	HOSTILE_EXAMPLES=$(EXAMPLES) CONTRACT_EXAMPLES=300 \
		$(BIN)/pytest -o faulthandler_timeout=0 tests/hostile/test_api_fuzz.py tests/contract

# opsvisor beside other supervisors: those that bench-setup could get, in benchmarks/.peers.
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(ARGS)

bench-setup: $(VENV)/.dev
	$(BIN)/python -m benchmarks.setup

# What grows with the number of programs, and how: docs/explanation/growth.md. Takes ten minutes.
bench-growth: $(VENV)/.dev
	$(BIN)/python -m benchmarks.growth --write-docs

# What is given away: wheel and sdist, and a package for this machine's Debian.
dist: $(VENV)/.dev
	$(BIN)/python -m build --outdir dist .

deb:
	@tools/system_packages.sh debhelper dh-virtualenv python3-venv
	tools/build_deb.sh dist

clean:
	rm -rf $(VENV) .cache grafana/node/node_modules tests/web/node/node_modules build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints/dev.txt | $(VENV)/bin/python
	$(PIP) install --constraint constraints/dev.txt --editable '.[dev]'
	@touch $@ $(VENV)/.runtime
