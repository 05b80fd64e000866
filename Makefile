# The habits of this project. `make` alone lists them.

.DEFAULT_GOAL := help
SHELL := /bin/bash
CARGO ?= cargo

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: demo
demo: engine workload ## Run the main job from end to end on a real Docker engine.
	@$(CARGO) build --quiet --bin neargate
	@scripts/demo

.PHONY: test
test: engine workload clients ## Set up what the tests need, and run every one, and 1,700 seeds of the simulation.
	@CARGO="$(CARGO)" scripts/test

.PHONY: pictures
pictures: engine workload clients ## Take the documentation's pictures of the console anew.
	$(CARGO) test --quiet --test integration -- console::
	cp target/console/docs/*.png docs/images/

.PHONY: fuzz-ecs
fuzz-ecs: ## Send 100,000 spoilt requests to ECS's API; `make test` sends a few.
	NEARGATE_FUZZ_CASES=100000 $(CARGO) test --lib --quiet -- no_request_is_answered_with_a_failure_of_ours

.PHONY: check
check: ## The daily loop: format, lint, unit tests. No engine needed.
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --quiet -- -D warnings
	$(CARGO) test --lib --quiet

.PHONY: fmt
fmt: ## Format the code.
	$(CARGO) fmt

.PHONY: lint
lint: ## What CI checks beside the tests.
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items
	command -v cargo-sqlx >/dev/null || $(CARGO) install sqlx-cli --version '^0.9' --locked --no-default-features --features sqlite
	scripts/sqlx check

.PHONY: bench
bench: engine workload clients ## Measure, and print ratios from one run.
	@scripts/peers
	$(CARGO) bench --bench launch

.PHONY: sim
sim: ## Tell one seed of the simulation again: make sim SEED=… [STEPS=…].
	@test -n "$(SEED)" || { echo "make sim needs SEED=…" >&2; exit 2; }
	$(CARGO) test --quiet --test integration --no-run
	NEARGATE_TEST_SEED=$(SEED) $(if $(STEPS),NEARGATE_TEST_STEPS=$(STEPS)) \
		$(CARGO) test --quiet --test integration storm::whatever -- --nocapture

.PHONY: soak
soak: ## Run seeds of the simulation that nobody has seen before, SEEDS=… of them.
	NEARGATE_TEST_FIRST_SEED=$$(date +%s)000 NEARGATE_TEST_SEEDS=$(or $(SEEDS),1000000) \
		$(CARGO) test --quiet --test integration storm::whatever -- --nocapture

.PHONY: chaos
chaos: engine workload ## Do everything to a real engine and to Neargate for CHAOS_SECONDS=… (600).
	CHAOS_SECONDS=$(or $(CHAOS_SECONDS),600) $(CARGO) test --quiet --test integration chaos:: -- --nocapture

.PHONY: engine
engine: ## Make sure that a Docker engine answers.
	@docker/engine up

.PHONY: clients
clients: ## Install boto3 and the AWS CLI, below target/, for the tests.
	@scripts/clients

.PHONY: workload
workload: engine ## Build the sample workload's image.
	@docker/workload/build
