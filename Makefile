# `make` tells what there is.
#
# `run` needs Rust and a C compiler. `test` installs what else it needs; see tests/install.sh.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Recipes in their order, whatever -j says: cargo uses all cores by itself.
.NOTPARALLEL:
.PHONY: help run test check fmt lint doc openapi clients client demo coverage bench faults soak storm fuzz dist clean

# What is built lands here; both are respected when they are set outside.
TARGET := $(or $(CARGO_TARGET_DIR),target)
LOAD_TARGET := bench/load/target

define need
@command -v $(1) >/dev/null 2>&1 || { echo "make: $(1) is needed: $(2)" >&2; exit 1; }
endef

help: ## This list
	@echo "Carillon, a self-hosted notification server. What make can do:"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make run ARGS='--port 6002' passes options to the server, make bench ARGS=--help to the load tool."

run: ## Build and start the server, with its demo page
	$(call need,cargo,Rust 1.95 or newer)
	$(call need,cc,a C compiler such as Debian's package gcc with libc6-dev)
	@echo "Building (a few minutes the first time). The log then says where the demo page is."
	@cargo run --release --locked -- serve $(ARGS)

# Promises wait for servers, clocks and clients most of their time: with one for each core, most of the machine would idle.
export RUST_TEST_THREADS ?= $(shell expr 3 '*' $$(nproc))

# Built once and whole, so nothing is kept for the next build: that would be another 2.6 GB.
test: export CARGO_INCREMENTAL = 0
test: clients lint doc client ## Everything CI runs: format, lints, documentation, the TypeScript client, all tests, the promises on both databases
	cargo test --locked --no-fail-fast --lib --bins --tests
	CARILLON_TESTS_ON=postgres cargo test --locked --no-fail-fast --test promises

check: clients ## The inner loop: format, lints, tests (promises on SQLite only)
	cargo fmt --check
	cargo clippy --locked --all-targets --quiet -- -D warnings
	cargo test --locked --quiet --lib --bins --tests

fmt: ## Format all Rust code
	cargo fmt
	cargo fmt --manifest-path bench/load/Cargo.toml

lint: ## Format and lints, of the server and of the load tool
	cargo fmt --check
	cargo fmt --check --manifest-path bench/load/Cargo.toml
	cargo clippy --locked --all-targets -- -D warnings
	CARGO_TARGET_DIR=$(LOAD_TARGET) cargo clippy --locked --manifest-path bench/load/Cargo.toml -- -D warnings

doc: ## The documentation of the code; a broken link is an error
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --locked --no-deps --document-private-items

openapi: ## Write docs/openapi.json and docs/asyncapi.json anew; a test tells when that is due
	cargo run --quiet --locked -- openapi > docs/openapi.json.new
	mv docs/openapi.json.new docs/openapi.json
	cargo run --quiet --locked -- asyncapi > docs/asyncapi.json.new
	mv docs/asyncapi.json.new docs/asyncapi.json

clients: ## Install what the tests need and is missing
	@tests/install.sh

client: ## The TypeScript client: types, tests, build, sizes, and a real browser against the real server (about 2 minutes)
	@tests/install.sh client
	cd client-js && npm run --silent build && npm run --silent types && npm test --silent && npm run --silent size && npm run --silent demo -- --check
	if [ -z "$${CARILLON_TESTS_PROGRAM:-}" ]; then cargo test --locked --no-run --lib --bins --tests; fi
	cd client-js && CARILLON_TESTS_PROGRAM=$${CARILLON_TESTS_PROGRAM:-$(abspath $(TARGET))/debug/carillon} npm run --silent browser

demo: ## Write client-js/demo/built anew, which the server's program takes its demo page from
	@tests/install.sh client
	cd client-js && npm run --silent build && npm run --silent demo

coverage: ## Lines of src that the tests reach, on both databases; writes the figure into README.md (about 10 minutes)
	@tests/install.sh coverage
	@tests/coverage.sh

bench: ## Measure against Node, and write docs/PERFORMANCE.md (about 40 minutes)
	bench/run.sh $(ARGS)

# What providers do wrong: refuse, slow down, hang, hang up after they took it; killed and stopped over it.
PROVIDERS := providers_are_given_their_time pushes_are_for_one_device mail_arrives_once_and_whole \
	text_messages_go_where_they_may what_a_socket_cannot_do_goes_another_way webhooks_are_told_until_they_answer \
	two_servers_race_and_one_text_message_goes_out

faults: clients ## Each fault RUNS times (5), and write docs/RELIABILITY.md (about 160 s for each of the RUNS); then providers' faults (5 minutes)
	CARILLON_TESTS_ON=postgres CARILLON_FAULT_RUNS=$(or $(RUNS),5) cargo test --locked --test promises -- --ignored --exact --nocapture faults::the_table_is_written
	CARILLON_TESTS_ON=postgres cargo test --locked --test promises -- $(addsuffix ::,$(PROVIDERS))

soak: clients ## Random faults for MINUTES (10); ends at the first broken promise, and prints the seed
	CARILLON_TESTS_ON=postgres CARILLON_SOAK_MINUTES=$(or $(MINUTES),10) cargo test --locked --test promises -- --ignored --exact --nocapture faults::random_faults_for_a_long_time

storm: clients ## 2,000 raw WebSockets are cut off every few seconds for a minute, on both databases (about 3 minutes)
	cargo build --release --locked
	for ground in sqlite postgres; do \
		CARILLON_TESTS_ON=$$ground CARILLON_TESTS_PROGRAM=$(abspath $(TARGET))/release/carillon \
			cargo test --locked --test promises -- --ignored --exact --nocapture \
			raw_websockets_outlast_storms::two_thousand_are_cut_off_for_a_minute; \
	done

fuzz: clients ## Bytes that no client sends, at every door for SECONDS (60); what breaks one is kept in tests/corpora
	CARILLON_FUZZ_SECONDS=$(or $(SECONDS),60) cargo test --locked --test promises -- no_bytes_break_a_door --nocapture --test-threads 2
	CARILLON_FRAMES_SEEDS=5000000 cargo test --locked --lib frames

# glibc alone is linked at run time: a static one could not look up names as the machine it runs on is set to.
dist: ## Build what is shipped; tell its size, what it links, the oldest glibc it runs on, and its SHA-256
	cargo build --profile dist --locked --bin carillon
	@tests/deploy/dist.sh $(TARGET)/dist/carillon

clean: ## Remove what was built or installed here; databases stay
	cargo clean
	rm -rf $(LOAD_TARGET) bench/peer/node_modules client-js/node_modules client-js/dist tests/clients/node_modules tests/clients/.venv
