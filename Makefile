# `make help` lists the targets. Each sets up .venv by itself; nothing is written outside the checkout.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
STAMP := .venv/.ready
# Extra arguments for the program behind a target: make test ARGS="-k chase", make demo ARGS="--seed 7"
ARGS ?=
# Images for containers often forbid Python to keep what it has compiled. The tests start hundreds of our
# programs, and each would compile them anew.
unexport PYTHONDONTWRITEBYTECODE

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

# What a client in Node needs, to show that the wire's reference page is enough for other languages.
NODE := .cache/node
$(NODE)/.ready: .ci/node $(wildcard tests/system/wire_clients/package*.json)
	@.ci/node $(NODE)

# Eight workers for two cores: a good part of the time is waiting for other processes. A file stays in one
# worker, with what it shares. One process, to debug: make test ARGS="-n 0 -k chase --pdb"
# The plugin of anyio, which Freqtrade brings, looks at every test and fixture, and none is for it.
.PHONY: test
test: $(STAMP) $(NODE)/.ready ## run the tests, but for what `make long` does
	@$(BIN)/python -m pytest -p no:anyio -n 8 --dist loadfile --no-loadscope-reorder -m "not campaign" $(ARGS)

# Other clients need other versions of what we need too. The environment has no Freqtrade.
CLIENTS := .venv-clients
ifneq ($(file <$(CLIENTS)/.ready),$(CURDIR))
.PHONY: $(CLIENTS)/.ready
endif

$(CLIENTS)/.ready: pyproject.toml tests/clients/constraints.txt .ci/setup hatch_build.py
	@.ci/setup $(CLIENTS) micro,clients tests/clients/constraints.txt

.PHONY: clients
clients: $(CLIENTS)/.ready ## let clients that nobody here wrote trade on the simulator
	@if [ -n "$(RACE_PYTHON)" ]; then RACE_PYTHON=$(RACE_PYTHON) $(CLIENTS)/bin/python bench/environments.py race; fi
	@CITADEL_CLIENTS=1 CITADEL_NAUTILUS=$(if $(RACE_PYTHON),$(RACE)/bin/python) \
	  $(CLIENTS)/bin/python -m pytest -W default tests/clients $(ARGS)

.PHONY: long
long: $(STAMP) $(NODE)/.ready ## what `make test` leaves out, and random tests with many more examples
	@CITADEL_LONG=1 $(BIN)/python -m pytest -n 4 --dist loadgroup --no-loadscope-reorder \
	  -m "hypothesis or long or campaign" --timeout 900 $(ARGS)

.PHONY: lint
lint: $(STAMP) ## format, lint, types and layering, without the tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter

.PHONY: check
check: lint test ## what a change must pass before you send it; CI adds `make long`

.PHONY: bench
bench: $(STAMP) ## measure, peers and floors too: one page and its data (ARGS="--quick", "--only work", "--compare OLD.json NEW.json")
	@$(BIN)/python bench/run.py $(ARGS)

.PHONY: guard
guard: $(STAMP) ## what compiled code and short records must save, as ratios
	@$(BIN)/python bench/guard.py $(ARGS)

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

.PHONY: mutants
mutants: $(STAMP) ## which comparisons of the risk gate no scene proves (ARGS="--turned" for fewer)
	@$(BIN)/python tests/campaigns/mutate_gate.py $(ARGS)

.PHONY: chaos
chaos: $(STAMP) ## thousands of random runs of engine and paper venue (ARGS="--runs 500 --jobs 2")
	@$(BIN)/python tests/campaigns/chaos_engine.py $(ARGS)

.PHONY: band
band: $(STAMP) ## static orders on every capture: the queue models must bound each other
	@$(BIN)/python tests/campaigns/paper_band.py $(ARGS)

.PHONY: work
work: $(STAMP) ## one order of every algorithm, side and size on every capture: nothing beyond what was asked
	@$(BIN)/python tests/campaigns/work_everything.py $(ARGS)

# What the peers run in; bench/environments.py makes it. nautilus_trader's present version needs Python 3.12 or later:
# the newest that is found, or the one that is named. Without one its last version for Python 3.11 is taken.
RACE := .venv-race
RACE_PYTHON ?= $(shell .ci/python 3.12 3.13 2>/dev/null)

.PHONY: judge
judge: $(STAMP) ## static orders at our paper venue and at hftbacktest's, on the same events
	@RACE_PYTHON=$(RACE_PYTHON) $(BIN)/python bench/environments.py race
	@$(BIN)/python tests/campaigns/judge_paper.py .cache/judge $(ARGS)
	@$(RACE)/bin/python tests/campaigns/judge_hftbacktest.py .cache/judge

.PHONY: race
race: $(STAMP) ## frames a second of one order here, at hftbacktest and at nautilus_trader
	@RACE_PYTHON=$(RACE_PYTHON) $(BIN)/python bench/environments.py race
	@$(BIN)/python bench/race_work.py .cache/race --python $(RACE)/bin/python $(ARGS)

.PHONY: storm
storm: $(STAMP) ## Freqtrade and a live micro in faults and kills; three books must agree: ARGS="--runs 50"
	@$(BIN)/python tests/campaigns/storm_books.py $(ARGS)

.PHONY: campaign-live
campaign-live: $(STAMP) ## 10,000 random runs of live trading and its faults (ARGS="--runs 500 --jobs 2")
	@$(BIN)/python tests/campaigns/chaos_live.py $(ARGS)

.PHONY: campaign-bridge
campaign-bridge: $(STAMP) ## 1,000 stories of macros and a micro over bad networks (ARGS="--runs 50")
	@$(BIN)/python tests/campaigns/chaos_bridge.py $(ARGS)

.PHONY: campaign-packets
campaign-packets: $(STAMP) ## the same, over IP packets that are lost, doubled and reordered (Linux with TUN)
	@$(BIN)/python tests/campaigns/chaos_bridge.py --packets $(ARGS)

.PHONY: campaign-kills
campaign-kills: $(STAMP) ## kill -9 a live micro 500 times at a living exchange (ARGS="--kills 50")
	@$(BIN)/python tests/campaigns/kill_live.py $(ARGS)

.PHONY: campaign-crash
campaign-crash: $(STAMP) ## kill the engine between any two things that it writes or sends, in every algorithm's story
	@$(BIN)/python tests/campaigns/kill_everywhere.py $(ARGS)

.PHONY: campaign-hands
campaign-hands: $(STAMP) ## 500 random sequences of what people do beside Freqtrade (ARGS="--runs 50")
	@$(BIN)/python tests/campaigns/reach_in.py $(ARGS)

.PHONY: pace-hands
pace-hands: $(STAMP) ## how soon after a person's action all books agree, at Freqtrade's own pace
	@$(BIN)/python tests/campaigns/pace_hands.py $(ARGS)

# CPythons for other machines than this one, which npm has; without it those that are installed are compared.
PYTHONS := .cache/pythons
$(PYTHONS)/%/.ready:
	@mkdir -p $(@D) && touch $@
	@! command -v npm >/dev/null || npm install --prefix $(@D) --ignore-scripts --no-audit --no-fund --no-save --loglevel=error pyodide@$* >/dev/null

.PHONY: pythons
pythons: $(STAMP) $(PYTHONS)/0.27.7/.ready $(PYTHONS)/0.29.4/.ready ## the same events in every Python there is: the same commands and journals
	@$(BIN)/python tests/campaigns/pythons.py $(ARGS)

.PHONY: study
study: $(STAMP) ## what crossing, joining, chasing and other plans cost on recordings (ARGS="--full")
	@$(BIN)/python tests/campaigns/study_execution.py $(ARGS)

# The first is for this machine's kind, with the tag that indexes take; the second has no compiled kernel.
.PHONY: wheels
wheels: $(STAMP) ## build both wheels into dist/
	@rm -rf dist/built && mkdir -p dist
	@CITADEL_KERNEL=compiled $(BIN)/python -m build --wheel --no-isolation --outdir dist/built
	@if [ "$$(uname)" = Linux ]; then \
	  PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python -m auditwheel repair --strip --wheel-dir dist dist/built/*.whl; \
	else mv dist/built/*.whl dist; fi
	@CITADEL_KERNEL=python $(BIN)/python -m build --wheel --no-isolation --outdir dist
	@rm -rf dist/built && ls dist

.PHONY: sbom
sbom: ## list what each image holds, as CycloneDX, into dist/
	@python3 .ci/sbom dist && ls dist/sbom-*

.PHONY: docs
docs: $(STAMP) ## rewrite the generated reference pages
	@$(BIN)/python docs/generate.py

.PHONY: site
site: $(STAMP) ## build the documentation as a site into .cache/site; a warning is a failure
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict $(ARGS)

.PHONY: fmt
fmt: $(STAMP) ## format, and fix what lint can fix by itself
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

.PHONY: lock
lock: ## renew the pins, and the hashes of what the images install, on the oldest supported Python
	@.ci/lock

.PHONY: clean
clean: ## remove caches and builds; keeps .venv and runs
	rm -rf .cache build dist
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## also remove the environments
	rm -rf .venv .venv-clients .venv-peers .venv-race
