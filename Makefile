# On a fresh machine with python3, its venv module and make: `make demo`, `make up` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
# The one way to make an environment. What is there already costs a tenth of a second.
ENVIRONMENT = $(PYTHON) tools/environment.py
# Some of it waits, so there are two processes more than there are cores on the machines we know; each has to
# collect all tests first.
PYTEST := -m pytest -n 4 --no-loadscope-reorder

# Airflow starts twice as fast with its byte code cached.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo up setup fast test lint types tests test-all test-slow test-oldest test-python test-pythons test-newest
.PHONY: test-clients test-package docs test-docs dist sbom release-check
.PHONY: test-browser test-fab test-distributed test-order audit bench histories explore mutants clean

demo:
	@$(ENVIRONMENT) demo
	@$(BIN)/batchext demo

# Airflow with its web page on this machine, on the emulator, until Ctrl-C.
up:
	@$(ENVIRONMENT) demo
	@$(BIN)/batchext up

# The environment of everything below.
setup:
	@$(ENVIRONMENT) test

# For the change one is working on, in under a minute: lint, types, and the tests of what differs from main.
fast: lint types
	$(BIN)/python tools/changed.py

# Before each commit: everything but real Airflow, and one run of each kind in real Airflow. Side by side, as the
# tests wait now and then; each says how it ended.
test: setup
	@$(MAKE) --no-print-directory -j3 lint types tests

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

tests: .venv/byte-code
	$(BIN)/python $(PYTEST) -m "not slow"

# Once in an environment: otherwise each of the processes compiles what is imported, and rewrites the asserts of
# all tests, at the same time.
.venv/byte-code: | setup
	-@$(BIN)/python -m pytest --collect-only -n 0 > /dev/null && touch $@

# Everything there is. Each part has a heading and a line for how it ended; what a part needs and this machine
# has not is said, and the rest goes on. PARTS="test-slow test-oldest" runs these alone.
PARTS ?=
test-all: test
	@$(BIN)/python tools/all_tests.py $(PARTS)

# The rest of real Airflow.
test-slow: setup
	$(BIN)/python $(PYTEST) -m slow

# The same tests with the oldest Airflow that pyproject.toml claims, in an environment of its own.
test-oldest:
	@$(ENVIRONMENT) oldest
	.venv-oldest/bin/python $(PYTEST)

# The same tests with another Python: make PYTHON=python3.13 test-python
test-python:
	@$(ENVIRONMENT) python
	.venv-python$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')/bin/python $(PYTEST) -m "not slow"

# Without Airflow's processes, on each Python from 3.11 on that is found; says which are not.
test-pythons:
	@$(PYTHON) tools/pythons.py

# The same with the newest of everything that pyproject.toml allows: no pins, so it may end otherwise tomorrow.
test-newest:
	@$(ENVIRONMENT) newest
	.venv-newest/bin/python $(PYTEST) -m "not airflow and not slow"

# What goes to the index: sdist and wheel of both distributions, in dist/.
dist: setup
	$(BIN)/python -m tools.distributions

# Whether a tag can be released: its version, the changelog, the addresses. make release-check TAG=v1.2.3
release-check: setup
	@$(BIN)/python -m tools.release "$(TAG)"

# A bill of materials (CycloneDX): what is depended on, in the versions that are tested.
sbom:
	@$(ENVIRONMENT) sbom
	@mkdir -p build/sbom
	.venv-sbom/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
	  --output-file build/sbom/airflow-batchext.cdx.json constraints.txt

# Both wheels, checked, and installed and used outside the checkout on the Pythons that are found.
test-package: dist
	@$(ENVIRONMENT) package
	$(BIN)/python -m pytest -m package tests/package

# The site, from docs/; a warning is an error. It is in build/site/html.
docs:
	@$(ENVIRONMENT) docs
	$(BIN)/python -m tools.pages

test-docs:
	@$(ENVIRONMENT) docs
	$(BIN)/python -m pytest -m docs tests/site

# Old and foreign clients against the emulator, each in an environment of its own.
test-clients: setup
	@$(BIN)/python -m tests.clients.environments
	$(BIN)/python -m pytest -m clients tests/clients

# Airflow's web page and the site in a real browser: needs Chromium (Debian: apt-get install chromium) and gets
# playwright.
test-browser:
	@$(ENVIRONMENT) browser
	@$(ENVIRONMENT) docs
	$(BIN)/python -m pytest -m browser tests/browser

# The live page under the auth manager of FAB, which asks for older libraries than Airflow does: in an environment
# of its own.
test-fab:
	@$(ENVIRONMENT) fab
	.venv-fab/bin/python -m pytest -m fab tests/fab

# Airflow as on several machines: see docs/distributed.md. SEEDS="1 2 3 4 5" runs the main run with five seeds.
SEEDS ?= 1
test-distributed: setup
	@$(ENVIRONMENT) distributed
	@$(BIN)/python -m tests.distributed.environment
	BATCHEXT_BED_SEEDS="$(SEEDS)" $(BIN)/python -m pytest -m distributed tests/distributed

# No test depends on another: in the order that each seed gives, with new examples of Hypothesis, and each file
# alone. SEEDS="1 2 3" make test-order
test-order: setup
	$(BIN)/python tools/any_order.py $(SEEDS)

# Known weaknesses of the pinned dependencies, from the database of the Python Packaging Authority. Needs the
# network, and answers otherwise tomorrow, so it is no part of `make test`; what it cannot look up is an error.
audit:
	@$(ENVIRONMENT) audit
	.venv-audit/bin/pip-audit --strict --disable-pip --no-deps --progress-spinner off -r constraints.txt

bench: setup
	$(BIN)/python -m benchmarks

# More random histories than `make test` plays: of the gate's rules, of the gate in each mode, of repairs, of the
# emulator, and of the model checker; and all examples where `make test` draws a part of them.
histories: setup
	BATCHEXT_ALL_EXAMPLES=1 BATCHEXT_HISTORIES=10000 BATCHEXT_SDK_HISTORIES=150 BATCHEXT_REPAIR_HISTORIES=150 \
	BATCHEXT_EMULATOR_HISTORIES=150 BATCHEXT_WORK_HISTORIES=150 BATCHEXT_CLAIM_HISTORIES=150 \
	BATCHEXT_EXPLORER=100000 $(BIN)/python $(PYTEST) \
	tests/rules/test_watch_histories.py tests/rules/test_explorer.py tests/sensors/test_histories.py \
	tests/repair/test_histories.py tests/emulator/test_stateful.py tests/operators/test_task_histories.py \
	tests/operators/test_claims.py $(shell grep -rl '^from tests.examples' tests)

# A million runs of the model checker over the rules of the gate: half an hour of one processor.
explore: setup
	BATCHEXT_EXPLORER=1000000 $(BIN)/python -m pytest -q --timeout 0 tests/rules/test_explorer.py -k finds_nothing

mutants: setup
	$(BIN)/python -m benchmarks.mutants

clean:
	rm -rf .venv .venv-*
	rm -rf build dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .test-logs
