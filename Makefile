# make run    set up, train the quick start, print the comparison
# make test   set up, lint, check types, run every test
# make bench  compare the speed with that of its peers (25 minutes on two cores; BENCH=--quick: under five)
# make docs   build the documentation as a site in site/
# make clean  remove the virtual environment and caches; results stay

PYTHON ?= python3
BENCH ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test lint types tests bench docs clean
.DELETE_ON_ERROR:

run: $(VENV)/.installed
	$(BIN)/actbench run configs/quickstart.yaml
	$(BIN)/actbench compare results/quickstart

test: lint types tests

lint: $(VENV)/.installed-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-tests
	$(BIN)/mypy

tests: $(VENV)/.installed-tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n auto --dist worksteal

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks.compare_peers $(BENCH)

docs: $(VENV)/.installed-docs
	$(BIN)/zensical build --strict

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-tests: $(VENV)/.installed
	$(PIP) --group test --group lint
	touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(PIP) --group bench
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) --group docs
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis site .cache
