# `make run` and `make test` do all their own set-up on a machine that has Python 3.11, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint soak clean

$(VENV)/.run-ready: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e .
	touch $@

$(VENV)/.test-ready: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e '.[test]'
	touch $@

run: $(VENV)/.run-ready
	$(BIN)/boreal start

lint: $(VENV)/.test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Tests of whole clusters of processes follow one another in one story, and want the machine for themselves.
CLUSTERS := tests/cluster/test_three_regions.py tests/cluster/test_local_cluster.py tests/cluster/chaos

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(CLUSTERS:%=--ignore=%)
	$(BIN)/python -m pytest $(CLUSTERS)

soak: $(VENV)/.test-ready
	BOREAL_SOAK=1 $(BIN)/python -m pytest -n 2 --dist loadgroup $(CLUSTERS:%=--ignore=%)
	BOREAL_SOAK=1 $(BIN)/python -m pytest $(CLUSTERS)

clean:
	rm -rf $(VENV) build dist *.egg-info
