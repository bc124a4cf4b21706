# Every target does its own set-up: on a fresh Debian 12 a Rust toolchain, make and root are all it needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
# cron and su leave out one or the other.
export HOME ?= $(shell echo ~)
export PATH := $(HOME)/.cargo/bin:$(PATH):/usr/local/sbin:/usr/sbin:/sbin

.PHONY: help run test lint packages bench torture interop fuzz

help:
	@echo 'make run      bring a CA up in ./run, see it sealed, unseal it, get a certificate with certbot'
	@echo 'make test     formatting, lints, every test, a short torture: what everyone runs before a change is sent'
	@echo 'make lint     formatting, lints and dependency rules only'
	@echo 'make packages make a deb and an rpm of the release build in target/packages'
	@echo 'make bench    measure against the budgets of docs/adr/0009-budgets.md (release build)'
	@echo 'make torture  200 rounds of kill -9, 20 power cuts an engine, 10,000 orders (root; about an hour)'
	@echo 'make interop  clients that come from elsewhere than Debian'
	@echo 'make fuzz     every fuzz target for FUZZ_SECONDS (60) seconds'

run:
	@tools/setup build run
	@tools/run

test:
	@tools/setup build lint run test boot
	@tools/test

lint:
	@tools/setup build lint
	@tools/lint

packages:
	@tools/setup build boot
	cargo build --release --locked -p signet-daemon -p signet-hsm -p signet-manuals
	packaging/build

bench:
	@tools/setup build run test
	cargo build --release --workspace
	cargo run --release -p softhsm-tests --bin bench

torture:
	@tools/setup build run test
	@tools/torture

interop:
	@tools/setup build run test boot interop
	@tools/interop

fuzz:
	@tools/setup build fuzz
	@tools/fuzz
