# Everything happens in .venv, made here with the Python that is installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# `make test TEST_EXTRAS=dev,oracles` also compares the T5 pipeline with torch's.
TEST_EXTRAS ?= dev
# worksteal: tests of a file mostly share a process, and with it what the file prepares and what JAX has compiled.
# --no-compile: Python compiles what it imports; compiling all of torch and JAX takes most of the time of an install.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint constraints.txt --editable

.PHONY: install reproduce test lint notebooks docs docs-serve clean

install: $(VENV)/.installed

reproduce: install
	$(BIN)/gmlm reproduce

test: $(VENV)/.installed-dev lint
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

notebooks: install
	$(INSTALL) '.[notebooks]'
	$(BIN)/jupyter lab notebooks

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "Open build/site/index.html"

docs-serve: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) '.[simulators,sweeps]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) '.[$(TEST_EXTRAS)]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) '.[docs]'
	@touch $@
