# The front door. `make run` and `make test` set up whatever they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := opsvisor alerts grafana tests tools benchmarks examples

.PHONY: run stack test check format docs previews bench clean

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
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports --no-cache
	$(BIN)/python tools/gen_reference.py --check
	$(BIN)/python tools/gen_compatibility.py --check
	$(BIN)/python -m alerts.generate --check
	$(BIN)/python -m grafana.generate --check
	$(BIN)/pytest -q -n auto tests/core tests/config tests/compat --ignore tests/core/test_mutants.py

format: $(VENV)/.dev
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

docs: $(VENV)/.dev
	$(BIN)/python tools/gen_reference.py
	$(BIN)/python tools/gen_compatibility.py
	$(BIN)/python -m alerts.generate
	$(BIN)/python -m grafana.generate

# Pictures of the dashboards, for docs/images: takes ten minutes of real load.
previews: $(VENV)/.dev
	tools/system_packages.sh chromium fonts-inter pngquant prometheus prometheus-alertmanager
	$(BIN)/python -m tools.previews

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .cache grafana/node/node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints/dev.txt | $(VENV)/bin/python
	$(PIP) install --constraint constraints/dev.txt --editable '.[dev]'
	@touch $@ $(VENV)/.runtime
