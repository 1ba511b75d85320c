# What each target needs is installed by `make .venv`, once.
.PHONY: demo test lint types docs bench faults all
PYTHON ?= python3
BIN = .venv/bin

all: lint types test docs

.venv: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e ".[dev]"
	touch .venv

demo: .venv
	$(BIN)/aioqueue demo

test: .venv
	$(BIN)/pytest -q -n auto

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv
	$(BIN)/basedpyright aioqueue

docs: .venv
	$(BIN)/mkdocs build --strict --quiet

bench: .venv
	$(BIN)/python -m benchmarks

# The long runs: kills, freezes, cuts and restarts at random, for minutes.
faults: .venv
	$(BIN)/pytest -q -m slow tests/faults --timeout=1200
