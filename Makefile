# Every target sets up what it needs: a bare machine with Python 3.11+ is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The demo needs far less than development does: it has a lock of its own.
DEMO_STAMP := $(VENV)/.installed-for-demo

COMPILE := $(BIN)/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links

# All but energy: Zeus is in requirements.no-deps.lock.
LOCKED_EXTRAS := carbon dev llm lm-eval molecules postgres qlora ray torch

.DEFAULT_GOAL := help
# Tests and commands start hundreds of interpreters: none may have to compile our code again.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup demo snake test lint format types bench gpu-check lock docs

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(STAMP) ## Create .venv with the locked dependencies and the package

define venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tonnage needs Python 3.11 or newer; $$($(PYTHON) --version 2>&1) is what '$(PYTHON)' is. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "The venv module is missing. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@echo "Installing the locked dependencies into $(VENV) (torch is the large one) ..." >&2
endef
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check

define package
	@PYTHONWARNINGS="ignore:Editable installation" $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
endef

$(STAMP): requirements.lock requirements.no-deps.lock pyproject.toml
	$(venv)
	@$(INSTALL) --requirement requirements.lock
	@$(INSTALL) --no-deps --requirement requirements.no-deps.lock
	$(package)
	@touch $(DEMO_STAMP)

$(DEMO_STAMP): requirements.demo.lock pyproject.toml
	$(venv)
	@$(INSTALL) --requirement requirements.demo.lock
	$(package)

demo: $(DEMO_STAMP) ## Search 16 models of real molecules, from start to export, in a few minutes
	@$(BIN)/python -m app.demo

snake: setup ## Fine-tune language models to play snake, evaluate them by playing, and compare
	@HF_HUB_OFFLINE=1 $(BIN)/python examples/snake/run.py --output build/snake

test: setup ## Run every test, and name the 20 slowest; no more than four train at once
	@$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder --durations 20 --durations-min 1 $(TESTS)

format: setup ## Rewrite the code in the project's style
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: setup ## Check style and the direction of imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

types: setup ## mypy --strict
	@$(BIN)/mypy

bench: setup ## Run the benchmarks and write dated results
	@$(BIN)/python -m benchmarks

gpu-check: setup ## Check an accelerator on this machine; status 3 where there is none
	@$(BIN)/python -m benchmarks.accelerator --output benchmarks/results

lock: setup ## Resolve the dependencies again into requirements.lock and requirements.demo.lock
	@$(COMPILE) --allow-unsafe $(LOCKED_EXTRAS:%=--extra %) --output-file requirements.lock requirements.in pyproject.toml
	@$(COMPILE) --extra molecules --constraint requirements.lock \
		--output-file requirements.demo.lock requirements.in pyproject.toml
	@sed -i.bak 's/^\(torch==[0-9.]*\)+cpu$$/\1/' requirements.lock requirements.demo.lock
	@rm requirements.lock.bak requirements.demo.lock.bak

docs: setup ## Write the generated pages of docs/
	@$(BIN)/python -m app.settings.document
