# `make help` lists the commands. Everything is installed into $(VENV), from the package index only.

VENV ?= .venv
BIN := $(VENV)/bin

# The newest Python that can make an environment, unless PYTHON says which.
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3.14 python3.13 python3.12 python3.11 python3 python)
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

OVER_HTTP := tests/test_clients.py tests/test_defects.py tests/testing tests/cli

.DEFAULT_GOAL := help
.PHONY: help demo test test-clients check lint types docs fuzz simulate interop golden catalogue bench bench-peers clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## every wire format in a minute: no key, no network
	@$(BIN)/llmwire demo

test: $(VENV)/.developed ## the whole test suite
	@$(BIN)/python -m pytest $(ARGS)

# What goes over HTTP, with each client that users may bring as the default transport.
test-clients: $(VENV)/.developed ## the tests over HTTP again, on aiohttp, httpx2 and httpx
	@for client in aiohttp httpx2 httpx; do \
	  echo "On $$client"; \
	  $(BIN)/python -m pytest --transport $$client $(OVER_HTTP) $(ARGS) || exit 1; \
	done

check: lint types $(VENV)/.developed ## what must hold before a change goes in, tests apart
	@$(BIN)/python -m pytest tests/test_architecture.py tests/test_public_api.py tests/test_docs.py

lint: $(VENV)/.developed
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check

types: $(VENV)/.developed
	@$(BIN)/mypy
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python tests/typing

fuzz: $(VENV)/.developed ## broken bytes for every decoder: make fuzz ARGS="--seconds 600"
	@$(BIN)/python scripts/fuzz.py $(ARGS)

simulate: $(VENV)/.developed ## calls through bad weather, on a virtual clock
	@$(BIN)/python -m llmwire.testing.simulation $(ARGS)

interop: $(VENV)/.developed ## servers and clients that others wrote, with a table of what passed
	@$(BIN)/python -m interop $(ARGS)

docs: $(VENV)/.developed ## rewrite the generated parts of the documents
	@$(BIN)/python scripts/generated_docs.py

catalogue: $(VENV)/.developed ## make the catalogue of models anew, from public packages
	@$(BIN)/python scripts/catalogue.py $(ARGS)

golden: $(VENV)/.developed ## write down anew what goes over the wire, for review
	@$(BIN)/python tests/golden.py

bench: $(VENV)/.developed ## what chunks and calls cost, beside a raw reader
	@$(BIN)/python -m bench $(ARGS)

bench-peers: $(VENV)/.developed ## the same beside other libraries; rewrites docs/performance.md
	@$(BIN)/python -m bench --all --write $(ARGS)

clean: ## remove everything that was made
	rm -rf $(VENV) .interop .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml
	@found=; \
	for python in $(CANDIDATES); do \
	  if "$$python" -c '$(SUITABLE)' >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "llmwire needs Python 3.11 or newer with its venv module; tried: $(CANDIDATES)." >&2; \
	  echo "Install one (on Debian: python3 and python3-venv), or name it: make PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	echo "Setting up $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.developed: $(VENV)/.installed
	@echo "Installing what the checks and tests need"
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
