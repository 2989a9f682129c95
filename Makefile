# On a fresh machine with python3, its venv module and make: `make demo`, `make up` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Airflow starts twice as fast with its byte code cached.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo up test lint types pytest test-oldest test-clients test-browser test-distributed audit bench mutants
.PHONY: setup clean

demo: $(READY)
	$(BIN)/batchext demo

# Airflow with its web page on this machine, on the emulator, until Ctrl-C.
up: $(READY)
	$(BIN)/batchext up

test: lint types pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

# Real Airflow spends its time waiting, so it goes first, twice, and beside the rest.
pytest: $(READY)
	$(BIN)/python -m pytest -n 3 --no-loadscope-reorder

# The same tests with the oldest Airflow that pyproject.toml claims, in an environment of its own.
test-oldest: .venv-oldest/.ready
	.venv-oldest/bin/python -m pytest -n 3 --no-loadscope-reorder

# Old and foreign clients against the emulator, each in an environment of its own (minutes to make, once).
test-clients: $(READY)
	$(BIN)/python tests/clients/environments.py
	$(BIN)/python -m pytest -m clients tests/clients

# Airflow's web page in a real browser: needs Chromium (Debian: apt-get install chromium) and gets playwright.
test-browser: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt playwright
	$(BIN)/python -m pytest -m browser tests/browser

# Airflow as on several machines: see docs/distributed.md. SEEDS="1 2 3 4 5" runs the main run with five seeds.
SEEDS ?= 1
test-distributed: $(READY)
	$(BIN)/python tests/distributed/environment.py
	BATCHEXT_BED_SEEDS="$(SEEDS)" $(BIN)/python -m pytest -m distributed tests/distributed

# Known weaknesses of the pinned dependencies, from the database of the Python Packaging Authority. Needs the
# network, and answers otherwise tomorrow, so it is no part of `make test`; what it cannot look up is an error.
audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.venv-audit/bin/pip-audit --strict --disable-pip --no-deps --progress-spinner off -r constraints.txt

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

.venv-oldest/.ready: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt \
		hatchling editables
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt \
		--no-build-isolation -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .venv-audit .venv-clients .venv-distributed .venv-oldest
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .test-logs
