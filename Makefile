# Everything runs in .venv, made on first use; all that has to be there is Python >= 3.11 and make.
PYTHON ?= $(shell command -v python3 || command -v python)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8288
PROGRAMS ?= 20000

.DEFAULT_GOAL := help
.PHONY: help install demo fleet test check docs revision bench verify format clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*##/\t/' | expand -t 12

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "flowgraph needs Python 3.11 or later, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade "pip>=25.1"
	@touch $@

$(VENV)/.runtime: $(VENV)/.pip pyproject.toml
	$(BIN)/python -m pip install -qq --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(BIN)/python -m pip install -qq --group dev
	@touch $@

install: $(VENV)/.dev  ## make .venv with flowgraph (editable) and the development tools

demo: $(VENV)/.runtime  ## start the dev server on the booking example, send a booking, show it (DEMO_ONCE=1: then stop)
	@$(BIN)/python examples/demo.py --port $(PORT)

fleet: $(VENV)/.dev  ## start three nodes on a PostgreSQL of their own, say what to try (kill one); FLEET_ONCE=1: kill one and stop
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || $(BIN)/python -m pip install -qq --group embedded
	@$(BIN)/python examples/fleet.py --port $(PORT)

test: $(VENV)/.dev  ## the fast tier
	$(BIN)/python -m pytest -q -n auto -m "not ci and not verify" $(ARGS)

check: $(VENV)/.dev  ## formatting, lint, types, import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy examples
	$(BIN)/lint-imports
	@if command -v node >/dev/null; then \
	    $(BIN)/python -m pip install -qq --group types && $(BIN)/pyright; \
	else echo "pyright skipped: no Node.js on the PATH"; fi

docs: $(VENV)/.dev  ## write the reference pages from the code
	$(BIN)/python docs/generate.py

revision: $(VENV)/.dev  ## begin a revision of the schema: NAME="what it does"
	$(BIN)/python -m verification.revision "$(NAME)"

bench: $(VENV)/.dev  ## measure, beside a raw loop and peers on the same machine (ARGS=--help)
	$(BIN)/python -m pip install -qq --group bench
	$(BIN)/python -m benchmarks $(ARGS)

verify: $(VENV)/.dev  ## the long tier: fuzzing, kills, simulation
	FLOWGRAPH_PROGRAMS=$(PROGRAMS) $(BIN)/python -m pytest -q -m verify $(ARGS)

format: $(VENV)/.dev  ## format and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
