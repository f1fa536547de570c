# Penstock's commands. `make` lists them. Every one does its own set-up; the first takes a minute or two, the rest none.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
export DEMO_STARTED := $(shell date +%s.%N)

.PHONY: help setup demo test check bench fmt clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
	@echo
	@echo 'make demo ONCE=1 ends after the predictions; PYTHON=/path/to/python chooses the Python of $(VENV).'

setup: $(STAMP)  ## a virtualenv with everything the lock names, checked by hash

# The stamp is newer than what it was made from, or it is made again.
$(STAMP): requirements.lock pyproject.toml
	@started=$$(date +%s); \
	 if ! test -x $(BIN)/python; then \
	   python=$$(PYTHON='$(PYTHON)' deploy/setup/find_python.sh); \
	   echo "[setup] creating $(VENV) with $$($$python --version) ($$python)"; \
	   $$python -m venv $(VENV); \
	 fi; \
	 echo "[setup] installing the locked packages (750 MB on disk; about a minute when they are cached)"; \
	 $(PIP) install --no-compile --require-hashes -r requirements.lock; \
	 $(PIP) install --no-deps --no-build-isolation -e .; \
	 touch $@; \
	 echo "[setup] done in $$(( $$(date +%s) - started )) s"

demo: setup  ## serve real digits from ONNX Runtime and a real Triton, and show predictions
	@$(BIN)/python -m deploy.demo

test: setup  ## everything, against real servers: Triton, PostgreSQL, Redis
	@tests/support/install_servers.sh
	@$(BIN)/python deploy/triton/setup.py
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
