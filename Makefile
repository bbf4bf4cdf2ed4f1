# Kandle: two commands are enough, `make run` and `make test`. Everything lands in .venv and in the user's cache.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := schemas infra producers processors sinks backtest serve kandle examples tests

.DEFAULT_GOAL := help
.PHONY: help setup run test check format docs reference bench chaos coverage mutants audit licences lock lock-check clean

help:  ## what the targets do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## virtual environment, locked packages, Kafka's jars, compiled kernels

$(READY): requirements.lock pyproject.toml infra/embedded/kafka.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version); set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages (once; a minute or two)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/kandle doctor --prepare
	@touch $@

run: $(READY)  ## the whole pipeline on this machine; make run ARGS="--feed simulated"
	$(BIN)/kandle up $(ARGS)

test: $(READY)  ## all tests, on a real Kafka and a real PostgreSQL; two processes, each with its own
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

check: $(READY)  ## formatting, lint, types, import rules
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## put the code in shape
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

docs: $(READY)  ## the site of the documentation, into build/site; links are checked
	$(BIN)/zensical build --strict

reference: $(READY)  ## renew the pages of docs/reference/, and docs/metrics.md, from the code
	$(BIN)/kandle reference --out docs/reference
	$(BIN)/kandle metrics > docs/metrics.md

bench: $(READY)  ## measurements with their peers, into docs/performance.md; make bench ARGS="--quick"
	$(BIN)/python -m tests.bench $(ARGS)

chaos: $(READY)  ## every fault in full, under an hour
	$(BIN)/python -m pytest tests/chaos --run-chaos --timeout=3600 $(ARGS)
	$(BIN)/python -m pytest tests/integration tests/contract -m full --run-chaos --timeout=3600 $(ARGS)

coverage: $(READY)  ## branch coverage of all tests, the core above 90 %
	$(BIN)/python -m tests.quality.coverage $(ARGS)

mutants: $(READY)  ## do the tests notice mistakes made on purpose in candles, books and checkpoints?
	$(BIN)/python -m tests.mutation $(ARGS)

audit: $(READY)  ## known vulnerabilities of the locked packages (asks the package index)
	$(BIN)/python -m tests.quality.audit

licences: $(READY)  ## docs/licences.md: what is needed at run time, and whether it is allowed
	$(BIN)/python -m tests.quality.licences --write

lock: $(READY)  ## resolve requirements.lock again
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --all-extras \
	  pyproject.toml -o requirements.lock

lock-check: $(READY)  ## is requirements.lock what the resolver gives?
	$(BIN)/python -m tests.quality.lock

clean:  ## remove the environment, caches and local data
	rm -rf $(VENV) var build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
