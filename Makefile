# make run    a mirror on this machine, from nothing
# make test   everything that CI runs
# Both need only cargo (Rust 1.95 or later), gcc, Python 3 and make; they get the rest themselves and say so.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help toolchain clients build run test lint fmt deny bench compare

# Outside the checkout, so that RocksDB's C++ (10 to 20 minutes on two cores) compiles once per machine.
CARGO_TARGET_DIR ?= $(HOME)/.cache/chiron/target
export CARGO_TARGET_DIR
CHIRON_CLIENTS_DIR ?= $(HOME)/.cache/chiron/clients
export CHIRON_CLIENTS_DIR

# More arguments for the verb: make run ARGS="--listen 0.0.0.0:8080", make test ARGS="config::"
ARGS ?=
# make test CLIENTS=no leaves out the tests with real pip, uv and poetry.
CLIENTS ?= yes

say = printf '\n== %s\n'
# Sets what the C++ compiler and bindgen need, or stops with the reason.
with_toolchain = settings=$$(.ci/toolchain) || exit 1; eval "$$settings"

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 16

toolchain: ## look for the system's packages, and install what is missing
	@$(with_toolchain)

build: ## the daemon
	@$(with_toolchain)
	@$(say) "building chiron (the first time compiles RocksDB: 10 to 20 minutes on two cores)"
	@$(with_toolchain); cargo build --release --locked --bin chiron

run: build ## build what is missing and start a mirror with the built-in configuration
	@$(say) "starting chiron; Ctrl-C stops it"
	@exec "$(CARGO_TARGET_DIR)/release/chiron" serve $(ARGS)

clients: ## the installers that the tests use, each in an environment of its own
	@tests/support/setup-clients.sh

test: ## set up everything, then format, lints and all tests
	@$(with_toolchain)
	@if [ "$(CLIENTS)" = no ]; then $(say) "leaving out the tests with real installers (CLIENTS=no)"; \
	else $(say) "setting up pip (old and newest), uv, poetry and twine"; tests/support/setup-clients.sh; fi
	@$(MAKE) --no-print-directory lint
	@$(say) "tests"
	@$(with_toolchain); \
	require=""; \
	if [ "$(CLIENTS)" != no ]; then \
	  require=clients; \
	  if python3 -m pip index versions six --timeout 10 --retries 1 >/dev/null 2>&1; then require=clients,registry; \
	  else echo "pip's own index does not answer: the tests that install real packages are left out"; fi; \
	  if command -v softhsm2-util >/dev/null; then require="$$require,softhsm"; fi; \
	  if command -v docker-registry >/dev/null; then require="$$require,docker-registry"; fi; \
	  if keyctl session - true >/dev/null 2>&1 && command -v gnome-keyring-daemon >/dev/null && \
	    command -v dbus-run-session >/dev/null && command -v secret-tool >/dev/null; then require="$$require,keyring"; fi; \
	fi; \
	export CHIRON_TESTS_REQUIRE="$$require"; \
	if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --release --locked --workspace $(ARGS); \
	else \
	  echo "cargo-nextest is not installed: cargo test runs them, without time limits per test"; \
	  cargo test --release --locked --workspace --no-fail-fast $(ARGS); \
	fi

lint: ## format and lints; warnings are errors
	@$(with_toolchain); \
	if cargo fmt --version >/dev/null 2>&1; then \
	  $(say) "format"; cargo fmt --all --check || { echo "run 'make fmt' and look at the difference"; exit 1; }; \
	else $(say) "format: left out, this cargo has no 'cargo fmt'"; fi; \
	if cargo clippy --version >/dev/null 2>&1; then \
	  $(say) "lints"; cargo clippy --release --workspace --all-targets --locked -- -D warnings; \
	else $(say) "lints: left out, this cargo has no 'cargo clippy'"; fi

fmt: ## format the code
	@cargo fmt --all

deny: ## licences, sources and advisories of the dependencies (needs cargo-deny)
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check $(ARGS); \
	else echo "cargo-deny is not installed; 'cargo install cargo-deny --locked' gets it"; exit 1; fi

bench: ## time single pieces of code (criterion)
	@$(with_toolchain); cargo bench --locked $(ARGS)

compare: build ## serve one corpus from Chiron and from nginx, and print the ratios (about 40 minutes)
	@benches/compare/run $(ARGS)
