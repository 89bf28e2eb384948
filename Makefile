# `make` alone lists what there is.

SHELL := /bin/bash
.DEFAULT_GOAL := help

CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
VENV := $(CARGO_TARGET_DIR)/venv
PYTHON := $(VENV)/bin/python
# How long `make fuzz` spends on each target.
FUZZ_SECONDS ?= 30
# Which part of `make mutants`: K/N, K from 0.
SHARD ?= 0/1

.PHONY: help demo test soak seeded lint bench bench-peers bench-memory fuzz mutants golden test-interop ci venv

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Log events, verify them, cheat in six ways, see each found
	@tests/venv.sh $(VENV) || true
	tests/demo/run.sh $(PYTHON)

test: venv ## All tests, with the number of cases of each suite
	tests/run.sh $(PYTHON)

soak: venv ## What takes long: the tests marked so, a thousand kills, every fault and attack, memory under load; under two hours
	cargo test --locked --workspace --no-fail-fast -- --ignored --show-output --skip speed
	tests/faults/run.sh $(PYTHON) --soak
	tests/attack/run.sh $(PYTHON) --soak
	$(MAKE) bench-memory

seeded: ## Puts each seeded bug into a copy and sees that its test goes red
	tests/seeded-bugs/run.sh

lint: ## Form, lints, licences and sources of dependencies
	tests/lint.sh

bench: ## Throughput, delay, start and proofs on this machine: medians of seven rounds, calibrated in each
	cargo run --locked --release --bin sealtrail -- bench --rounds 7 --start-records 10000000

bench-peers: ## The same machine with what one would use instead; root on Debian, Go
	tests/peers/run.sh .

bench-memory: ## Memory of agent, ledger and verifier at 100,000 records a second, for ten minutes after five
	cargo build --locked --release --bin sealtrail
	python3 tests/memory.py $(CARGO_TARGET_DIR)/release/sealtrail 600

fuzz: ## Coverage-guided fuzzing of every parser, FUZZ_SECONDS=30 on each; needs rustup
	fuzz/run.sh $(FUZZ_SECONDS)

mutants: ## Changes what decides a verdict in every small way and sees that tests notice; hours, goes on where it was
	tests/mutants.sh $(SHARD)

golden: ## Writes testdata/vectors and the worked examples anew; review the difference
	cargo run --locked --quiet -p sealtrail-testkit --bin golden -- testdata/vectors docs/spec/09-examples.md

test-interop: venv ## Real events through an OpenTelemetry Collector, compared field by field; needs Go
	tests/interop/run.sh $(PYTHON)

ci: ## What CI runs
	$(MAKE) lint
	$(MAKE) test

venv:
	@tests/venv.sh $(VENV)
