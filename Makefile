# Every target makes what it needs. Paths are relative, so the folder may have any name, spaces included.

PYTHON ?= python3
VENV := .venv
# Many tests wait for a process or a clock, so one worker more than there are cores is at work.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
RUN := $(VENV)/bin/python
PIP := PYTHONWARNINGS=ignore $(RUN) -m pip install --quiet --constraint constraints.txt

# Settings of pip that a user may carry and that would break an environment of our own.
export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export PIP_USER := 0
unexport PYTHONPATH PYTHONHOME

# An environment knows its own path: after a move, or without its Python, it is made again.
SOUND := $(shell [ "$$(cat $(VENV)/place 2>/dev/null)" = "$$(pwd)" ] && [ -x $(RUN) ] && echo yes)
ifneq ($(SOUND),yes)
.PHONY: $(VENV)/place
endif

.DEFAULT_GOAL := help
.PHONY: help demo demo-year test lint types laws mutants bench bench-large overload crash clean release-openapi
.DELETE_ON_ERROR:

help: ## show this list
	@echo "Tessera. Each command makes what it needs; the first run takes a minute or two more."
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/demo ## replay five months of real purchases and settle every night (about three minutes)
	@$(RUN) -m api.cli demo

demo-year: $(VENV)/demo ## the same for the whole year and its 366 nights
	@$(RUN) -m api.cli demo --year

test: lint ## lint, types, import contracts, and all tests on a real PostgreSQL
	@$(RUN) -m pytest -n $(WORKERS) --dist worksteal

lint: $(VENV)/all ## ruff, mypy --strict and the import contracts
	@$(RUN) -m ruff check --quiet
	@$(RUN) -m ruff format --check --quiet || { echo "run: $(RUN) -m ruff format"; exit 1; }
	@$(RUN) -m mypy
	@$(VENV)/bin/lint-imports

laws: $(VENV)/all ## 100,000 steps of all commands against a model that predicts every reply (about ten minutes)
	@$(RUN) -m tests.laws

mutants: $(VENV)/all ## plant bugs in a copy, one after another, and show which check catches each
	@$(RUN) -m tests.laws.mutants

bench: $(VENV)/all ## every figure of docs/performance.md but the two large ones, as ratios to pgbench (five minutes)
	@$(RUN) -m tests.benchmarks.bench $(BENCH)

bench-large: $(VENV)/all ## a night of 4,000,000 postings; earns among 10,000,000 members (an hour or two, 60 GB of disk)
	@$(RUN) -m tests.benchmarks.large $(BENCH)

overload: $(VENV)/all ## a minute of three times what the server can do, then 2,000 connections; nothing may be lost
	@$(RUN) -m tests.benchmarks.overload $(BENCH)

release-openapi: $(VENV)/all ## release the partner API's description; BREAKING=yes: though it breaks programs
	@$(RUN) -m tests.openapi.release $(if $(BREAKING),--breaking)

crash: $(VENV)/all ## kill -9 API and PostgreSQL 100 times under load; nothing may be lost or doubled (ten minutes)
	@$(RUN) -m tests.crash $(CRASH)

clean: ## remove what these commands made: environment, database, reports, caches
	@$(PYTHON) -m config.postgres remove
	@rm -rf $(VENV) .tessera build *.egg-info $(SDK)/src/*.egg-info $(SDK)/build .pytest_cache .mypy_cache .ruff_cache .hypothesis \
	  .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

SDK := partners/sdk

$(VENV)/demo: pyproject.toml $(SDK)/pyproject.toml constraints.txt $(VENV)/place
	@echo "Installing what the demo needs ..."
	@$(PIP) --editable $(SDK) --editable '.[demo]'
	@touch $@

$(VENV)/all: pyproject.toml $(SDK)/pyproject.toml constraints.txt $(VENV)/place
	@echo "Installing what tests and benchmarks need ..."
	@$(PIP) --editable $(SDK) --editable '.[demo,dev]'
	@touch $@ $(VENV)/demo

# Debian packs ensurepip apart from Python. Without it, another pip that is about fills the environment.
$(VENV)/place:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "$(PYTHON) is not there; Tessera needs Python 3.11 or newer (Debian: apt install python3 python3-venv)"; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version), and Tessera needs 3.11 or newer; try: make PYTHON=python3.11"; \
	  exit 1; }
	@echo "Making the virtual environment $(VENV) ..."
	@rm -rf $(VENV)
	@if $(PYTHON) -c 'import ensurepip; ensurepip.version()' 2>/dev/null; then \
	  $(PYTHON) -m venv $(VENV); \
	else \
	  $(PYTHON) -m venv --without-pip $(VENV) && \
	  env -u PIP_CONSTRAINT $(PYTHON) -m pip --python $(RUN) install --quiet pip 2>/dev/null || { \
	    rm -rf $(VENV); \
	    echo "This Python can make no virtual environment: its module ensurepip is missing."; \
	    echo "On Debian or Ubuntu, as root: apt install python3-venv    Then try again."; \
	    exit 1; }; \
	fi
	@pwd > $@
