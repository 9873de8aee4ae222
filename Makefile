# The two commands a newcomer needs: `make demo` and `make test`. Each works alone.
VENV   ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN    := $(VENV)/bin
# More processes than cores only slow each other down.
JOBS   ?= 2

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

.PHONY: browser demo test test-fast fuzz lint format types bench docs clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[train,plot]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[docs]'
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/h2q demo --out build/demo

# A browser for the tests of the page, where Debian's can be installed; without one they skip.
browser:
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null \
	  || echo "no Chromium could be installed: the tests of the page will skip"; fi

test: $(VENV)/.dev browser
	$(BIN)/python -m pytest -n $(JOBS)

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS) -m 'not slow'

# Mutated files to every reader, each in a guarded child; the faults are left in build/fuzz. Then
# malformed photos and bodies to a server, and what its OpenAPI description allows.
MUTANTS ?= 10000
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz --mutants $(MUTANTS) --out build/fuzz
	$(BIN)/python -m tests.serving.hostile --requests $(MUTANTS) --examples 30

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Ratios against peers in the same run; those that need a folder of data say so in their --help.
bench: $(VENV)/.dev
	@mkdir -p build/bench
	OMP_NUM_THREADS=1 $(BIN)/python bench/collection.py --n 200000 | tee build/bench/collection.txt
	OMP_NUM_THREADS=1 $(BIN)/python bench/evaluation.py --queries 500 --items 50000 | tee build/bench/evaluation.txt
	OMP_NUM_THREADS=1 $(BIN)/python bench/fit_scale.py | tee build/bench/fit_scale.txt
	OMP_NUM_THREADS=1 $(BIN)/python bench/gpu.py --small --out build/bench/gpu.json | tee build/bench/gpu.txt

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs
	@echo "built build/docs/index.html"

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
