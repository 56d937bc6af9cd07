# Berth: the only entry points. `make up` and `make test` do everything on a fresh Debian machine.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help up down reset test check bench prereqs test-prereqs bench-prereqs node

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

up: prereqs ## Install and build what is needed, start Berth, print the URL and the first login
	@[ -n "$$KUBECONFIG" ] || node/build.sh
	cargo build --locked --release -p berthd
	@scripts/up.sh

down: ## Stop Berth and the embedded node; keep all data
	@scripts/down.sh

reset: down ## Remove the embedded node and all data, for good
	@build/node/bin/berth-node reset --yes
	@rm -rf "$${BERTH_DATA:-/var/lib/berth}/berthd" .berth

test: test-prereqs node ## Run every test
	@$(MAKE) --no-print-directory check
	@scripts/test.sh

check: ## Formatters, linters, dependency rules
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
	cargo deny --locked --log-level error check bans licenses sources
	cd node && test -z "$$(gofmt -l .)" && go vet ./...

bench: bench-prereqs node ## Measure against peers in the same run
	cargo build --locked --release -p berthd -p berth-e2e
	@scripts/bench.sh

prereqs:
	@scripts/prereqs.sh

test-prereqs:
	@scripts/prereqs.sh test

bench-prereqs:
	@scripts/prereqs.sh bench

node:
	@node/build.sh
