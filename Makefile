# Two commands on a fresh machine with python3, its venv module and make: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Airflow starts twice as fast with its byte code cached.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint types pytest test-clients bench mutants setup clean

demo: $(READY)
	$(BIN)/batchext demo

test: lint types pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

pytest: $(READY)
	$(BIN)/python -m pytest

# Old and foreign clients against the emulator, each in an environment of its own (minutes to make, once).
test-clients: $(READY)
	$(BIN)/python tests/clients/environments.py
	$(BIN)/python -m pytest -m clients tests/clients

bench: $(READY)
	$(BIN)/python -m benchmarks

mutants: $(READY)
	$(BIN)/python -m benchmarks.mutants

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .venv-clients .mypy_cache .ruff_cache .pytest_cache .hypothesis .test-logs
