# `make lecture` and `make test` share one environment, made on first use and again when a lock
# changes. Another Python: make lecture PYTHON=python3.12. Options: make lecture LECTURE_ARGS="04".
PYTHON ?= python3
VENV ?= .venv
LECTURE_ARGS ?=
PYTEST_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check
LOCK := $(BIN)/uv pip compile --quiet --upgrade

.PHONY: help lecture test lint lock clean

help:
	@echo "make lecture   install what is needed, open JupyterLab on the lecture"
	@echo "make test      install the tools for development, run every test"
	@echo "make lint      check style and formatting of modules and notebooks"
	@echo "make lock      write requirements*.txt again from pyproject.toml"
	@echo "make clean     remove the environment and everything generated"

lecture: $(VENV)/.installed
	@$(BIN)/lecture $(LECTURE_ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lock: $(BIN)/uv
	$(LOCK) pyproject.toml -o requirements.txt
	$(LOCK) --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt

clean:
	rm -rf .venv .lecture .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	"Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ". Name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(BIN)/uv: | $(BIN)/python
	$(PIP) "$$(grep '^uv==' requirements-dev.txt)"

$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	$(PIP) -r requirements.txt -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt pyproject.toml | $(BIN)/python
	$(PIP) -r requirements-dev.txt -e .
	@touch $(VENV)/.installed $@
