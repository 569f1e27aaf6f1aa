# The verbs of this repository. Each is one line of ./pants, which is what to use for options:
# `./pants run packages/devstack -- up --help`, `./pants run apps/ws_bridge -- demo --help`.

.DEFAULT_GOAL := help
.PHONY: help demo test up down status smoke archive ws package index release bench faults soak lint fmt lock \
        docs docs-reference merge-hist nfo-sync kite-url kite-exchange

DEVSTACK := ./pants run packages/devstack --
BRIDGE := ./pants run apps/ws_bridge --
ARCHIVE := ./pants run apps/tick_archive --
INSTRUMENTS := ./pants run apps/instruments --
HIST_MERGE := ./pants run apps/hist_merge --
FAULTS := ./pants script apps/ws_bridge/tests/faults/cli.py --
BENCH := ./pants script benchmarks/bench.py --

help: ## This list
	@grep -hE '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z -]+):.*## /\1\t/' \
		| while IFS="$$(printf '\t')" read -r verb text; do printf '  make %-32s %s\n' "$$verb" "$$text"; done

demo: ## Real local Kafka, simulator and bridge; ends with the ledger
	@$(DEVSTACK) up kafka
	@endpoints="$$($(DEVSTACK) env)" && eval "$$endpoints" && $(BRIDGE) demo --bootstrap "$$KAFKA_BOOTSTRAP" $(ARGS)

test: ## All tests, on the real Kafka and Postgres
	@./pants test ::

up: ## Start Kafka and Postgres, create topics and tables (TOPICS_DRY_RUN=1: only show what would be done)
	@$(DEVSTACK) up

down: ## Stop Kafka and Postgres; their data stays
	@$(DEVSTACK) down

status: ## What runs, and where
	@$(DEVSTACK) status

smoke: ## The seeded market into the topics, with every fault of the script
	@$(DEVSTACK) up kafka
	@endpoints="$$($(DEVSTACK) env)" && eval "$$endpoints" && $(BRIDGE) smoke $(ARGS)

archive: ## Ticks, feed events and dead letters of the local stack into Iceberg tables
	@$(DEVSTACK) up kafka
	@endpoints="$$($(DEVSTACK) env)" && eval "$$endpoints" && $(ARCHIVE) run

ws: ## The live bridge; credentials in .env
	@$(BRIDGE) run

package: ## Wheels and PEX files into dist/
	@./pants package ::

index: ## The wheels alone into dist/index, for pip install --find-links dist/index kite-kafka-io
	@./pants package packages::
	@mkdir -p dist/index && rm -f dist/index/* && cp dist/*.whl dist/index/

release: ## Test, package, record and tag one place (PLACE=packages/kafka_io; docs/releasing.md)
	@.ci/release "$(PLACE)"

bench: ## Every budget, measured (PARTS="codec live", ROUNDS=5, RECORD=docs/performance.json; ten minutes)
	@$(DEVSTACK) up
	@set -e; endpoints="$$($(DEVSTACK) env)"; eval "$$endpoints"; \
		$(BENCH) $(PARTS) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(RECORD),--record $(abspath $(RECORD))) || [ $$? -eq 3 ]

faults: ## Every fault on purpose, long forms, on a Kafka of their own (half an hour; ARGS=--help, ARGS=--list names them)
	@$(FAULTS) $(or $(ARGS),--all) $(if $(RECORD),--record $(abspath $(RECORD)))

soak: ## 9000 instruments at Kite's ceiling with a fault every half minute (MINUTES=30)
	@$(FAULTS) soak --minutes $(or $(MINUTES),30) $(if $(RECORD),--record $(abspath $(RECORD)))

lint: ## Lint, types and formatting, changing nothing
	@./pants lint check ::
	@./pants script build-support/ruff_format.py -- --check .

fmt: ## Format the sources
	@./pants fmt ::
	@./pants script build-support/ruff_format.py -- .

lock: ## Resolve the requirements in 3rdparty/python into the hashed locks (ARGS=--upgrade for newer ones)
	@3rdparty/python/lock $(ARGS)

docs: ## The documentation as a site in dist/docs
	@build-support/docs_site.sh

docs-reference: ## Write docs/reference from the code; a test compares them
	@./pants script docs/generate.py -- $(abspath docs/reference)

nfo-sync: ## Today's masters of NFO and NSE into the history, then configs/tokens.csv and universe_*.csv
	@$(DEVSTACK) up
	@$(INSTRUMENTS) sync --exchange NFO --exchange NSE || [ $$? -eq 3 ]
	@$(INSTRUMENTS) export

kite-url: ## The address of Kite's login page
	@$(INSTRUMENTS) auth url

kite-exchange: ## The login's token, or the address it ended at, for the token of the day (REQUEST_TOKEN=...)
	@printf '%s\n' "$$REQUEST_TOKEN" | $(INSTRUMENTS) auth exchange -

merge-hist: ## Vendor's files and Kite's history of D1 to D2 into golden bars (D1=20240101 D2=20240105 VENDOR=PATH)
	@if [ -z "$(D1)" ] || [ -z "$(D2)" ]; then \
		echo "make $@: name the days, for example make $@ D1=20240101 D2=20240105" >&2; exit 2; fi
	@$(DEVSTACK) up
	@$(HIST_MERGE) daily --from "$(D1)" --to "$(D2)" $(if $(VENDOR),--vendor "$(abspath $(VENDOR))") $(ARGS)
