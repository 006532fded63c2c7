# Every target does its own set-up: on a fresh machine `make demo` or `make test` is enough.
# PYTHON=python3.12 make test   takes another interpreter for a new .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.whet-installed
PYTEST := $(BIN)/python -m pytest
# -qq: errors only. The constraint keeps any later install from replacing torch.
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=requirements/constraints.txt \
	$(BIN)/python -m pip install -qq

# Nothing that we run may look for models or send reports over the network.
export HF_HUB_OFFLINE := 1
export PYTHONHASHSEED := 0

# Two of these may run at once; the others time engines, or take all cores by themselves.
ALONE := tests/unit/measure tests/integration tests/e2e
BESIDE := tests/attacks tests/contract tests/unit --ignore=tests/unit/measure

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-all check docs bench format generate lock clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## make .venv with the pinned dependencies (done once)

$(STAMP): requirements/constraints.txt requirements/lock.txt pyproject.toml
	@$(BIN)/python -c 'import pip' 2>/dev/null || { \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "whet needs Python 3.11 or newer as '$(PYTHON)'. Install one, or name it: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12" >&2; exit 1; }; \
	  echo "set-up: making $(VENV)"; \
	  $(PYTHON) -m venv --clear $(VENV) || { \
	    echo "Could not make a virtual environment. On Debian: apt-get install python3-venv" >&2; exit 1; }; }
	@echo "set-up: installing the pinned packages (about 2 GB, some minutes the first time)"
	@# torch first: resolved together with the rest, a newer one with GPU libraries may come.
	@$(PIP) -r requirements/constraints.txt
	@$(PIP) -r requirements/lock.txt
	@$(PIP) --no-build-isolation --no-deps -e .
	@touch $@

demo: $(STAMP) ## train a small network, optimise it under a contract, show the report
	@$(BIN)/whet demo --out demo-out

test: check ## the checks, then every test that is not slow
	@$(PYTEST) -m "not slow" -n 2 --dist loadfile --max-worker-restart 0 $(BESIDE)
	@$(PYTEST) -m "not slow" $(ALONE)

test-slow: $(STAMP) ## the slow tests whose length is bounded; those that need real data skip without it
	@$(PYTEST) -m "slow and not unbounded"

test-all: check ## the checks, then every test
	@$(PYTEST) --slow

check: $(STAMP) ## lint, format, types, import layers, file lengths, docs
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo >$(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }
	@$(BIN)/python scripts/check_file_length.py --quiet
	@$(BIN)/python scripts/build_docs.py
	@echo "check: lint, format, types, layers, file lengths and docs are in order"

docs: $(STAMP) ## build the documentation into site/
	@$(BIN)/python scripts/build_docs.py --keep
	@echo "docs: open site/index.html"

bench: $(STAMP) ## the quick form of every benchmark
	@for script in benchmarks/*.py; do $(BIN)/python $$script --quick || exit $$?; done

format: $(STAMP) ## let ruff fix and format
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

generate: $(STAMP) ## write the parts of README and docs that come from code and results
	@$(BIN)/python scripts/cli_reference.py
	@$(BIN)/python scripts/floor_tables.py
	@$(BIN)/python scripts/protocol.py
	@test ! -e benchmarks/results/main_job.json || $(BIN)/python scripts/readme_results.py

lock: $(STAMP) ## write requirements/*.txt from what is installed in .venv
	@$(BIN)/python scripts/lock.py

clean: ## remove what was built; .venv stays
	@rm -rf build dist site demo-out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find src tests scripts examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
