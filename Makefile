# The commands of this project. Each one sets up what it needs; a machine with Python 3.11+ and make is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COMPILED := $(BIN)/python -m compileall -q apiserver controllers kubelet kube wherry

.PHONY: up test check fix bench docs replay

up: $(VENV)/.user
	$(BIN)/wherry up

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff format --check . && $(BIN)/ruff check .
	$(BIN)/mypy apiserver controllers kubelet kube wherry tests bench
	$(BIN)/lint-imports

fix: $(VENV)/.dev
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: $(VENV)/.dev
	$(BIN)/python -m bench

replay: $(VENV)/.dev
	RECORDINGS="$(RECORDINGS)" $(BIN)/python -m tests.replay --headers $(AREAS)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.user: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	$(COMPILED)
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(COMPILED)
	touch $@ $(VENV)/.user

docs: $(VENV)/.dev
	$(BIN)/python -m docs.deviations
	$(BIN)/python -m docs.conformance
