# make run    set up, train the quick start, print the comparison
# make test   set up, lint, check types, run the quick tests (under 20 minutes on two cores)
# make test-slow  run the slow ones: workers and clusters that are killed, documents whose commands are executed,
#                 pages in a browser, what is repeated much (20 minutes more); CI runs both
# make bench  compare the speed with that of its peers (25 minutes on two cores; BENCH=--quick: under five)
# make coverage  run the quick tests and print the least covered files, child processes included
# make lowest     run the quick tests with the lowest declared versions, in an environment of their own
# make mutants    change the code of a room in small ways and count the changes that its tests notice
#                 (ROOM=health|modules|unit_axes|statistics|comparison|storage|all, SAMPLE=60; minutes to hours)
# make claims compute the studies of docs/claims.md anew, and the page (15 hours on two cores; goes on where it was)
# make claims-smoke  the same, cut to minutes, without a download, into a temporary folder
# make docs   build the documentation as a site in site/
# make clean  remove the virtual environment and caches; results stay

PYTHON ?= python3
BENCH ?=
ROOM ?= health
SAMPLE ?= 60
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test test-slow lint types bench coverage lowest mutants claims claims-smoke docs clean
.DELETE_ON_ERROR:

run: $(VENV)/.installed
	$(BIN)/actbench run configs/quickstart.yaml
	$(BIN)/actbench compare results/quickstart

test: lint types
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n auto --dist worksteal -m "not slow"

test-slow: $(VENV)/.installed-tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n auto --dist worksteal -m slow

lint: $(VENV)/.installed-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-tests
	$(BIN)/mypy

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks.compare_peers $(BENCH)

coverage: $(VENV)/.installed-tests
	$(BIN)/coverage erase
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest -q -n auto --dist worksteal -m "not slow"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --sort=cover --skip-covered

LOWEST := .venv-lowest/bin
lowest:
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST)/python -m pip install --quiet --disable-pip-version-check uv
	$(LOWEST)/uv pip install --quiet --python $(LOWEST)/python --resolution lowest-direct --requirements pyproject.toml --group test
	$(LOWEST)/uv pip install --quiet --python $(LOWEST)/python --no-deps --editable .
	OMP_NUM_THREADS=1 $(LOWEST)/pytest -q -n auto --dist worksteal -m "not slow"

mutants: $(VENV)/.installed-mutants
	$(BIN)/python tests/mutation/mutants.py $(ROOM) --sample $(SAMPLE)

claims: $(VENV)/.installed
	$(BIN)/python -m benchmarks.claims.compute
	$(BIN)/python -m benchmarks.claims.page

claims-smoke: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.claims.compute --smoke

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

$(VENV)/.installed-mutants: $(VENV)/.installed-tests
	$(PIP) --group mutants
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) --group docs
	touch $@

clean:
	rm -rf $(VENV) .venv-lowest .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis site .cache
