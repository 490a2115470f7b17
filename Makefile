# Goalkick's commands. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
OURS := $(patsubst %/pyproject.toml,-e %,$(wildcard libs/*/pyproject.toml services/*/pyproject.toml))
CORES := $(shell tr '\n' ',' < tests/cores.txt)
PACKAGES := $(wildcard libs/*/src services/*/src)

help: ## what can be done
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "expected Python 3.11 or newer as $(PYTHON), found $$($(PYTHON) --version); set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python requirements/run.txt $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)
	@echo "installing what Goalkick needs to run (once, some minutes) ..." >&2
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps $(OURS)
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "installing what tests and checks need (once, some minutes) ..." >&2
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(VENV)/.dev ## make .venv with everything that development needs

run: $(VENV)/.run ## paper-trade a simulated market (ARGS="--duration 60s" passes options)
	@$(BIN)/goalkick run $(ARGS)

test: $(VENV)/.dev ## all tests, a real Kafka included, with coverage of the cores
	@$(BIN)/python -m tests.kafka.broker
	@$(BIN)/python -m tests.deploy.chart || true # they are left out then, and it is said again
	$(BIN)/python -m pytest -n 2 -m "not kafka" --cov --cov-report= $(ARGS)
	$(BIN)/python -m pytest -m kafka --cov --cov-append --cov-report= $(ARGS)
	$(BIN)/coverage report --skip-covered --include='$(CORES)' --fail-under=95

test-fast: $(VENV)/.dev ## the tests that need no server and no long run (under a minute)
	$(BIN)/python -m pytest -n 2 -m "not kafka and not slow" $(ARGS)

lint: $(VENV)/.dev ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES) tests $(wildcard deploy/helm/*.py deploy/images/*.py deploy/helm/goalkick/files/*.py requirements/*.py)
	$(BIN)/lint-imports
	@$(BIN)/python requirements/audit.py
	$(BIN)/buf lint protos
	$(BIN)/buf format --diff --exit-code protos
	@tag=$$(git describe --tags --abbrev=0 2>/dev/null); \
	  if [ -z "$$tag" ]; then echo "wire language: no tag yet, so nothing that it could break"; \
	  else $(BIN)/buf breaking protos --against "$$(git rev-parse --git-common-dir)#format=git,tag=$$tag,subdir=protos"; fi

audit: $(VENV)/.dev ## known vulnerabilities of what is locked, where the database can be reached
	@$(BIN)/python requirements/audit.py

images: $(VENV)/.run ## the services' container images and their bills of materials (NAMES="risk ...")
	@deploy/images/build $(NAMES)

schema: $(VENV)/.run ## make the schema of the chart's values from the settings
	$(BIN)/python deploy/helm/schema.py

e2e: $(VENV)/.dev ## prove the chart on a cluster, from nothing (ARGS="--no-images" where they are there)
	$(BIN)/python -m tests.e2e.cluster $(ARGS)

proto: $(VENV)/.dev ## make the Python code of the wire language from protos/
	$(BIN)/python protos/generate.py

format: $(VENV)/.dev ## put the code into the one style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

faults: $(VENV)/.dev ## orders under faults and kills, judged by the exchange's ledger (SEED= SCENARIOS= ARGS=)
	$(BIN)/python -m tests.faults $(if $(SEED),--seed $(SEED)) $(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(ARGS)
	$(BIN)/python -m tests.faults --on kafka --named $(if $(SEED),--seed $(SEED)) $(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(ARGS)

bench: $(VENV)/.dev ## measure (ARGS="--short" for less); fails on a wrong answer only
	$(BIN)/python -m tests.bench $(ARGS)

lock: $(VENV)/.dev ## renew the locked requirements
	@for name in run train dev; do \
	  $(BIN)/uv pip compile -q --upgrade --universal --no-strip-extras --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --custom-compile-command "make lock" \
	    requirements/$$name.in -o requirements/$$name.txt; \
	done

clean: ## remove what the tools left behind; keeps .venv and your data
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
	find libs services tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup run test test-fast lint audit images schema e2e proto format faults bench lock clean
