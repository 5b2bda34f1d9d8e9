# Everything a contributor or a first-time user needs. Only Python >= 3.11, make and git must be there.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
# Every start would compile all modules anew where bytecode isn't kept.
unexport PYTHONDONTWRITEBYTECODE

VENV ?= .venv
BIN := $(VENV)/bin
# Which Python makes the environment; unset, the first one of these that is new enough.
PYTHON ?=
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python)

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# Not compiled ahead: the parts of these libraries that are used compile themselves, which is far less.
INSTALL := $(PIP) install -qq --no-compile --require-hashes
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
PROJECT := pyproject.toml requirements/build.txt requirements/runtime.txt

# How pytest is run: make test WORKERS=4 ARGS="-k outage"
WORKERS ?= auto
ARGS ?=

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | awk -F':.*## ' '{ printf "  make %-11s %s\n", $$1, $$2 }'

.PHONY: setup
setup: $(RUNTIME) ## make .venv with what the gateway needs to run

.PHONY: setup-dev
setup-dev: $(DEV) ## the same, with the tools and libraries of the tests

.PHONY: run
run: $(RUNTIME) ## start everything on this machine, with sandbox carriers and sample customers
	@exec $(BIN)/gateway dev

.PHONY: format
format: $(DEV) ## format the code and mend what the linter can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

.PHONY: check
check: $(DEV) ## formatter, linter, import layers and type checker
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache --no-logo
	@export PYRIGHT_PYTHON_IGNORE_WARNINGS=1; \
	if $(BIN)/pyright --version >/dev/null 2>&1; then \
	  $(BIN)/pyright; \
	elif [ -n "$${GATEWAY_TEST_NO_SKIP:-}" ]; then \
	  echo "The type checker can't start: no Node.js for it." >&2; exit 1; \
	else \
	  echo "Type check skipped: pyright finds no Node.js on this machine."; \
	fi

.PHONY: test
test: missing check ## the above and every test
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

.PHONY: missing
missing: # names what this machine lacks, and which tests are skipped for it
	@export PATH="$$PATH:/usr/sbin:/sbin"; \
	lacks() { echo "Not here: $$1. Skipped: $$2."; }; \
	command -v chromium >/dev/null || lacks "Chromium (Debian: chromium)" "the tests of the pages in a browser"; \
	command -v faketime >/dev/null || lacks "faketime (Debian: faketime)" "the tests with clocks that jump"; \
	{ command -v ip && command -v iptables; } >/dev/null || lacks "ip and iptables (Debian: iproute2, iptables)" "the tests with networks that part"; \
	command -v redis-server >/dev/null || lacks "redis-server (Debian: redis-server)" "the tests of Redis over TLS"; \
	[ "$$(id -u)" = 0 ] || lacks "root's rights" "the tests with full disks and networks that part"; \
	command -v postfix >/dev/null || lacks "Postfix (Debian: postfix)" "the tests with a real mail server"; \
	[ -n "$${TWILIO_OPENAPI:-}" ] || lacks "TWILIO_OPENAPI, the path of Twilio's API description" "the comparison with it"

.PHONY: prove
prove: $(DEV) ## switch off each mechanism behind a promise, and see the test that guards it fail
	@$(BIN)/python -m tests.mutants $(ARGS)

MINUTES ?= 30
.PHONY: chaos
chaos: $(DEV) ## kills, freezes and cut connections for MINUTES=30; SEED=… repeats a run
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: bench
bench: $(DEV) ## the benchmarks
	@$(BIN)/gateway bench $(ARGS)

UV_COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --custom-compile-command "make lock"

.PHONY: lock
lock: $(BIN)/python ## resolve the floors of pyproject.toml anew into requirements/
	@$(PIP) install -qq 'uv>=0.9'
	@$(UV_COMPILE) pyproject.toml -o requirements/runtime.txt
	@$(UV_COMPILE) --group pyproject.toml:build -c requirements/runtime.txt -o requirements/build.txt
	@$(UV_COMPILE) pyproject.toml --group dev --extra otel \
	  -c requirements/runtime.txt -c requirements/build.txt -o requirements/dev.txt
	@if grep -n '://' requirements/*.txt; then echo "An address stands in a lock file." >&2; exit 1; fi

.PHONY: clean
clean: ## remove .venv, caches and builds; the data in var/ stays
	@rm -rf $(VENV) .venv-* build dist htmlcov .coverage .coverage.* .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# An environment whose Python has gone or moved is made anew.
.PHONY: FORCE
$(BIN)/python: $(shell $(BIN)/python -c pass 2>/dev/null || echo FORCE)
	@for candidate in $(CANDIDATES); do \
	  "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  echo "Making $(VENV) with $$("$$candidate" --version)"; \
	  "$$candidate" -m venv --clear $(VENV) && exit 0; \
	  rm -rf $(VENV); \
	  echo "This Python can't make an environment; on Debian and Ubuntu install python3-venv." >&2; \
	  exit 1; \
	done; \
	echo "The gateway needs Python 3.11 or newer, and found none of: $(CANDIDATES)." >&2; \
	echo "Name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
	exit 1

# Without build isolation, after the locked build tools: nothing is resolved at this moment.
EDITABLE := $(PIP) install -qq --no-deps --no-build-isolation --editable .

$(RUNTIME): $(PROJECT) | $(BIN)/python
	@echo "Installing what the gateway needs (the first time and after changes; else this is skipped)"
	@$(INSTALL) -r requirements/build.txt -r requirements/runtime.txt
	@$(EDITABLE)
	@touch $@

$(DEV): $(PROJECT) requirements/dev.txt | $(BIN)/python
	@echo "Installing what the tests need (the first time and after changes; else this is skipped)"
	@$(INSTALL) -r requirements/build.txt -r requirements/dev.txt
	@$(EDITABLE)
	@touch $(RUNTIME) $@
