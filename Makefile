# `make help` lists the targets. Each sets up .venv by itself; nothing is written outside the checkout.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
STAMP := .venv/.ready
# Extra arguments for the program behind a target: make test ARGS="-k chase", make demo ARGS="--seed 7"
ARGS ?=

# The environment holds absolute paths, so a checkout that was moved needs a new one.
ifneq ($(file <$(STAMP)),$(CURDIR))
.PHONY: $(STAMP)
endif

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt .ci/setup hatch_build.py $(wildcard micro/citadel_micro/core/marketdata/_*.p[yx]*)
	@.ci/setup .venv

.PHONY: setup
setup: $(STAMP) ## make .venv with everything in it (only when something changed)

.PHONY: demo
demo: $(STAMP) ## run the whole system offline: simulator, micro, Freqtrade
	@$(BIN)/citadel demo $(ARGS)

# Four workers for two cores: a good part of the time is waiting for other processes. A file stays in one
# worker, with what it shares. One process, to debug: make test ARGS="-n 0 -k chase --pdb"
.PHONY: test
test: $(STAMP) ## run the tests, in four workers
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: long
long: $(STAMP) ## the random tests alone, with several times the examples
	@CITADEL_LONG=1 $(BIN)/python -m pytest -n 2 --dist load -m "hypothesis or long" --timeout 900 $(ARGS)

.PHONY: lint
lint: $(STAMP) ## format, lint, types and layering, without the tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter

.PHONY: check
check: lint test ## everything that a change must pass

.PHONY: bench
bench: $(STAMP) ## measure; prints medians of both sides
	@shopt -s nullglob; scripts=(bench/bench_*.py); \
	if [ $${#scripts[@]} = 0 ]; then echo "no bench/bench_*.py" >&2; exit 1; fi; \
	for script in "$${scripts[@]}"; do $(BIN)/python "$$script" $(ARGS); done

.PHONY: soak
soak: $(STAMP) ## play captures at 20 times their speed to the feeds, and see what is left
	@$(BIN)/python tests/campaigns/soak_feeds.py $(ARGS)

.PHONY: flap
flap: $(STAMP) ## thousands of reconnects to a venue that flaps, and what each leaves in memory
	@$(BIN)/python tests/campaigns/flap_feeds.py $(ARGS)

.PHONY: fuzz
fuzz: $(STAMP) ## search longer for frames that break a decoder (needs atheris)
	@$(BIN)/python tests/campaigns/fuzz_decoders.py $(ARGS)

.PHONY: sanitize
sanitize: $(STAMP) ## run the compiled kernel under the sanitizers, beside its Python twin (needs gcc)
	@$(BIN)/python tests/campaigns/sanitize_kernel.py $(ARGS)

.PHONY: chaos
chaos: $(STAMP) ## thousands of random runs of engine and paper venue (ARGS="--runs 500 --jobs 2")
	@$(BIN)/python tests/campaigns/chaos_engine.py $(ARGS)

.PHONY: docs
docs: $(STAMP) ## rewrite the generated reference pages
	@$(BIN)/python docs/generate.py

.PHONY: fmt
fmt: $(STAMP) ## format, and fix what lint can fix by itself
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

.PHONY: lock
lock: ## renew the pins in constraints.txt, on the oldest supported Python
	@.ci/lock

.PHONY: clean
clean: ## remove caches and builds; keeps .venv and runs
	rm -rf .cache build dist
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## also remove .venv
	rm -rf .venv
