# Penstock's commands. `make` lists them. Every one does its own set-up; the first takes a minute or two, the rest none.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
# What is installed: all of the lock, or the part of it that serving needs.
ALL := $(VENV)/.installed
SERVE := $(VENV)/.installed-serve
# Everything is pinned, so nothing is resolved; bytecode is left to the first import.
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
INSTALL := $(PIP) install --no-compile --no-deps --require-hashes
export DEMO_STARTED := $(shell date +%s.%N)
# ONNX Runtime reports to Microsoft unless told not to; Penstock tells it by itself, tests and bench import it directly, too.
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help setup serve-setup triton kserve servers demo test check bench fmt clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
	@echo
	@echo 'make demo ONCE=1 ends after the predictions; PYTHON=/path/to/python chooses the Python of $(VENV).'

# The `@:` keeps make from remarking that there is nothing to be done.
setup: $(ALL)  ## a virtualenv with everything the lock names, checked by hash
	@:

serve-setup: $(SERVE)
	@:

$(BIN)/python:
	@python=$$(PYTHON='$(PYTHON)' deploy/setup/find_python.sh); \
	 echo "[setup] creating $(VENV) with $$($$python --version) ($$python)"; \
	 $$python -m venv $(VENV)

# A stamp is newer than what it was made from, or it is made again.
$(ALL): requirements.lock pyproject.toml | $(BIN)/python
	@started=$$(date +%s); \
	 echo "[setup] installing the locked packages (750 MB on disk; about a minute when they are cached)"; \
	 $(INSTALL) -r requirements.lock; \
	 $(PIP) install --no-deps --no-build-isolation -e .; \
	 touch $(ALL) $(SERVE); \
	 echo "[setup] packages installed ($$(( $$(date +%s) - started )) s)"

$(SERVE): requirements-serve.lock pyproject.toml | $(BIN)/python
	@started=$$(date +%s); \
	 echo "[setup] installing what serving needs (270 MB on disk)"; \
	 $(INSTALL) -r requirements-serve.lock; \
	 $(PIP) install --no-deps --no-build-isolation -e .; \
	 touch $(SERVE); \
	 echo "[setup] packages installed ($$(( $$(date +%s) - started )) s)"

triton: | $(BIN)/python
	@$(BIN)/python deploy/triton/setup.py

kserve: setup
	@$(BIN)/python -m tests.support.kserve_environment

servers:
	@tests/support/install_servers.sh

demo:  ## serve real digits from ONNX Runtime and a real Triton, and show predictions
	@$(MAKE) --no-print-directory -j2 serve-setup triton
	@$(BIN)/python -m deploy.demo

test: setup triton servers kserve  ## everything, against real servers: Triton, PostgreSQL, Redis
	$(BIN)/python -m pytest

check: setup  ## the house rules, in under a minute: format, lint, types, imports, tidy, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_tidy.py tests/test_docs.py

bench: setup  ## Penstock beside nginx, HAProxy, MLServer and KServe; writes docs/performance.md
	$(BIN)/python -m tests.bench

fmt: setup  ## format, and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove what demo and tests left behind; the virtualenv and the caches stay
	rm -rf .demo .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
