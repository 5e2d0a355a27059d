# `make demo` is all that a newcomer needs; a second call of any target is fast.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTHONS := python3.11 python3.12 python3.13 python3
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)

.PHONY: help setup demo test check docs format clean

help:
	@echo "make setup    the environment in $(VENV), with the versions of constraints.txt"
	@echo "make demo     the whole pipeline on built-in images, in minutes"
	@echo "make test     all tests"
	@echo "make check    ruff, mypy, import-linter and the docs check"
	@echo "make docs     the documentation as a site in site/"
	@echo "make format   put the code into its form"
	@echo "make clean    remove what the targets above made, runs/ kept"

setup: $(INSTALLED)

# torch by name first, so that no other package picks another build of it.
$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV), some minutes the first time"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH) --constraint constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
	@touch $@

$(BIN)/python:
	@for python in $(PYTHONS); do \
		if $$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			exec $$python -m venv $(VENV); \
		fi; \
	done; \
	echo "make: Python 3.11 or newer with venv must be on the PATH; tried $(PYTHONS)" >&2; exit 1

demo: setup
	$(BIN)/ofa-hw demo

test: setup
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python docs/check_docs.py

docs: setup $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

$(VENV)/.installed-docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]' --constraint constraints.txt
	@touch $@

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
