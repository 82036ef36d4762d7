# `make` lists what there is.

SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)

ROWS ?= 200000
FILES ?= 2000
SEED ?= 1
SNAPSHOT ?=
SQL ?=
DROP ?=
TARGET ?=
ONLY ?=
WORKERS ?= 2
COMPILE = $(PYTHON) -m uv pip compile -q --system-certs --python-version "$$(cat .python-version)" --custom-compile-command 'make lock'
# A password may hold a dollar sign: the text as given, never expanded, and passed on by environment, not by argument.
override SQL := $(value SQL)
export SQL
# What is given on make's command line is put into the environment, where TARGET would be read as the app's setting.
unexport TARGET

.PHONY: help setup demo up down test test-setup check lint types format docs bench lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  demo and up take SNAPSHOT=backup.tar.gz and SQL='Server=…;Database=…;UID=…;PWD=…'; TARGET=postgres; demo takes ROWS=, FILES=, SEED=, DROP=yes"

setup: ## Install what is needed into .venv and node_modules (done by the other targets when needed).
	@sh local/setup.sh

demo: setup ## A whole migration on this machine, live; ends with a summary and a verdict.
	@$(PYTHON) -m local.demo --rows $(ROWS) --files $(FILES) --seed $(SEED) $(if $(SNAPSHOT),--snapshot '$(SNAPSHOT)') $(if $(TARGET),--target '$(TARGET)') $(if $(DROP),--drop)

up: setup ## Start all parts, print their addresses, and leave them running.
	@$(PYTHON) -m local.up $(if $(SNAPSHOT),--snapshot '$(SNAPSHOT)') $(if $(TARGET),--target '$(TARGET)')

down: ## Stop the parts that `make up` started.
	@$(PYTHON) -m local.up --down

test: check test-setup ## Lint, types, unit, integration and end-to-end tests: what CI runs.
	@$(PYTHON) -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-setup:
	@sh local/setup.sh --with-tests

check: lint types ## Lint, format and types.

lint: setup
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .

types: setup
	@$(PYTHON) -m mypy

format: setup ## Format the code and mend what the linter can mend.
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

docs: setup ## Write the generated pages: docs/settings.md, docs/licences.md.
	@$(PYTHON) -m local.settings_page
	@$(PYTHON) -m local.licences_page

bench: setup ## Measure, print a table, write .local/bench.json; ONLY=name for one.
	@$(PYTHON) -m bench $(if $(ONLY),--only '$(ONLY)')

lock: setup ## Compile the locks from requirements.in, requirements-dev.in and package.json; versions stay unless told otherwise.
	@$(COMPILE) requirements.in -o requirements.txt --no-annotate --python-platform x86_64-manylinux_2_28 --only-binary :all:
	@$(COMPILE) requirements-dev.in -o requirements-dev.txt
	@npm install --package-lock-only --silent

clean: ## Stop the parts and delete all local data, caches and reports (not .venv and node_modules).
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m local.up --down --delete; fi
	@rm -rf .local .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -not -path './node_modules/*' -prune -exec rm -rf {} +
