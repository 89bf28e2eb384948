# `make` alone lists what there is.

SHELL := /bin/bash
.DEFAULT_GOAL := help

CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
VENV := $(CARGO_TARGET_DIR)/venv
PYTHON := $(VENV)/bin/python
# How long `make fuzz` goes on.
FUZZ_SECONDS ?= 60

.PHONY: help demo test soak seeded lint bench fuzz golden test-interop ci venv

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Log events, verify them, cheat in six ways, see each found
	@tests/venv.sh $(VENV) || true
	tests/demo/run.sh $(PYTHON)

test: venv ## All tests, with the number of cases of each suite
	tests/run.sh $(PYTHON)

soak: venv ## What takes long: tests marked so, more random input, every seeded bug
	cargo test --locked --release --workspace -- --ignored --show-output
	$(MAKE) fuzz FUZZ_SECONDS=3600
	$(MAKE) seeded

seeded: ## Puts each seeded bug into a copy and sees that its test goes red
	tests/seeded-bugs/run.sh

lint: ## Form, lints, licences and sources of dependencies
	tests/lint.sh

bench: ## Throughput on this machine
	cargo run --locked --release --bin sealtrail -- bench

fuzz: ## Random and mutated input into every parser; FUZZ_SECONDS=n for longer
	tests/fuzz.sh $(FUZZ_SECONDS)

golden: ## Writes testdata/vectors and the worked examples anew; review the difference
	cargo run --locked --quiet -p sealtrail-testkit --bin golden -- testdata/vectors docs/spec/09-examples.md

test-interop: venv ## Records from the OpenTelemetry SDK over gRPC and HTTP, compared field by field
	tests/otel/run.sh $(PYTHON)

ci: ## What CI runs
	$(MAKE) lint
	$(MAKE) test

venv:
	@tests/venv.sh $(VENV)
