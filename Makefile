# `make run` and `make test` need Python 3.11 or newer and make; everything else is fetched, by hash, into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup run test check lock bench soak torture clean

help: ## what can be done here
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# Installed once per lock file; a changed lock installs again. The project itself is built with the locked hatchling.
$(VENV)/.run: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || { echo "setting up $(VENV) …"; $(PYTHON) -m venv $(VENV); }
	@echo "installing the locked dependencies …"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@echo "installing the locked tools for tests and checks …"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(VENV)/.run ## the router and its commands into .venv, without starting it

run: $(VENV)/.run ## the router on the example map, with an embedded store and a preview instead of Slack
	@exec $(BIN)/router serve

# A file stays with one worker: what its tests share is made once. More than four would fight for the disk.
test: $(VENV)/.dev ## every test
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: $(VENV)/.dev ## formatting, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.dev ## the figures of docs/explanation/performance.md
	@$(BIN)/python -m tests.bench

soak: $(VENV)/.dev ## a million alerts: memory and answers stay as they are, every count is exact
	@$(BIN)/python -m tests.soak

torture: $(VENV)/.dev ## kills, power cuts, faults of Slack and failovers, in which nothing may be lost: an hour or two
	@$(BIN)/python -m tests.torture

lock: $(VENV)/.dev ## resolve the dependencies anew
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links pyproject.toml --group build -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

clean: ## remove what make made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
