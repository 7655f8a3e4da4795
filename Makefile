# Sinete. `make` prints what there is.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(wildcard libs/* services/* deploy/embedded deploy/sandbox-*)
SOURCES := $(wildcard libs/*/src services/*/src deploy/*/src)
SHARED := $(addsuffix /pyproject.toml,$(filter-out libs/client,$(wildcard libs/*)))
COMPILE := $(BIN)/uv pip compile -q --no-config --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast test-e2e bench promise lint types format lock events clean

help: ## print this help
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.complete ## create the environment in .venv from the locked, hashed requirements

$(VENV)/.complete: requirements.lock $(addsuffix /pyproject.toml,$(PACKAGES))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sinete needs Python 3.11 or newer: make setup PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^uv==/{p=1} p{print} p&&!/\\$$/{exit}' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install -q --require-hashes -r $(VENV)/uv.txt
	@$(BIN)/uv pip sync -q --no-config --compile-bytecode --require-hashes requirements.lock
	@$(BIN)/uv pip install -q --no-config --no-deps --no-build-isolation $(addprefix -e ,$(PACKAGES))
	@touch $@

run: setup ## start everything on this machine, in the foreground; Ctrl-C stops it and keeps its state
	@$(BIN)/sinete up

test: setup ## everything that proves it: unit, integration on a real database and broker, the whole stack
	@$(MAKE) -s test-fast
	@$(MAKE) -s test-e2e

test-fast: setup ## unit and integration tests, in parallel
	$(BIN)/pytest -q -n 2 --dist loadfile libs services deploy tests/promise

test-e2e: setup ## the whole system from outside, on the embedded stack
	$(BIN)/pytest -q -n 2 --dist loadfile tests/e2e

promise: setup ## the hard promise: every state of small worlds, then real processes killed and stopped while clients sign
	@$(BIN)/python -m tests.promise $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

bench: setup ## every speed figure against its bar, in one run; written to bench.json
	@$(BIN)/python -m tests.bench

lint: setup ## formatting, ruff, layers, house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python .ci/house_rules.py

types: setup ## mypy, strict
	$(BIN)/mypy $(SOURCES)

format: setup ## format the code and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

events: setup ## write the golden files and the event table again from libs/contracts
	$(BIN)/python -m contracts.documents

lock: ## resolve the requirements again (all, and of each service)
	$(COMPILE) --group dev pyproject.toml $(addsuffix /pyproject.toml,$(PACKAGES)) -o requirements.lock
	@for service in services/*; do $(COMPILE) $$service/pyproject.toml $(SHARED) -c requirements.lock -o $$service/requirements.lock; done

clean: ## remove the environment and caches; the stack's state stays (sinete reset removes it)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
