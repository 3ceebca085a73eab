# Talkburst: make demo (the main job, on a fresh machine) and make test. See README.md.
SHELL := /bin/bash
SWIFT ?= swift
CONFIG ?= release
DEMO_SECONDS ?= 0
FUZZ_SECONDS ?= 600
APT_BUILD := librdkafka-dev libhiredis-dev libjansson-dev libopus-dev libmp3lame-dev libwebsockets-dev libsqlite3-dev libcurl4-openssl-dev libssl-dev redis-server espeak-ng libjs-janus-gateway
# Multi-buffer SRTP is for amd64; elsewhere OpenSSL does it.
APT_BUILD += $(if $(filter x86_64,$(shell uname -m)),libipsec-mb-dev)
APT_PEERS := janus mumble-server libipsec-mb-dev
APT_TEST := libsrtp2-dev kcat tshark ffmpeg python3-venv openjdk-17-jre-headless chromium chromium-driver fonts-wqy-microhei
VENV := .venv
KAFKA := $(abspath $(or $(KAFKA_HOME),../shared/kafka))
BIN := .build/$(CONFIG)
# Tests with web servers and clients wait for each other: they run beside none of those that only compute.
SERVERS := ^(WebTests|HTTPClientTests|ServiceKitTests|FileArchiveTests)

.PHONY: help deps deps-test build demo test unit-test e2e lint format bench bench-peers fuzz sanitize clean

help:
	@echo "make demo    install, build, start everything, radios talk; DEMO_SECONDS=60 ends by itself"
	@echo "make test    unit, property, integration and end-to-end tests"
	@echo "make build   release build        make lint   style"
	@echo "make bench-peers   the same work by Janus and Mumble, and by us"
	@echo "make sanitize   the tests under ThreadSanitizer and AddressSanitizer (some ten minutes; not part of make test)"
	@echo "make bench   Benchmarks/ to a table  make fuzz    every parser under libFuzzer, FUZZ_SECONDS=600 each"

# Quiet when all is there; apt-get only where something is missing.
deps:
	@missing=$$(dpkg-query -W -f='$${Package} $${Status}\n' $(APT_BUILD) 2>/dev/null | awk '$$4=="installed"{print $$1}' | sort | comm -13 - <(printf '%s\n' $(APT_BUILD) | sort)); \
	if [ -n "$$missing" ]; then echo "Installing:" $$missing; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; fi
	@command -v $(SWIFT) >/dev/null || { echo "Swift 6.3 is needed: https://swift.org/install"; exit 1; }

deps-test: deps
	@missing=$$(dpkg-query -W -f='$${Package} $${Status}\n' $(APT_TEST) 2>/dev/null | awk '$$4=="installed"{print $$1}' | sort | comm -13 - <(printf '%s\n' $(APT_TEST) | sort)); \
	if [ -n "$$missing" ]; then echo "Installing:" $$missing; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; fi

build: deps
	$(SWIFT) build -c $(CONFIG)

demo: build
	@$(BIN)/ptt demo --dir run $(if $(filter-out 0,$(DEMO_SECONDS)),--seconds $(DEMO_SECONDS))

test: unit-test e2e

unit-test: deps-test
	$(SWIFT) build --build-tests
	.build/debug/talkburstPackageTests.xctest --testing-library swift-testing --skip '$(SERVERS)'
	.build/debug/talkburstPackageTests.xctest --testing-library swift-testing --filter '$(SERVERS)'

$(VENV)/done: Tests/EndToEnd/requirements.txt | deps-test
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet -r $<
	touch $@

e2e: deps-test $(VENV)/done
	$(SWIFT) build
	cd Tests/EndToEnd && ../../$(VENV)/bin/python -m pytest -q --bin=../../.build/debug --broker=embedded
	@if [ -x "$(KAFKA)/start" ]; then cd Tests/EndToEnd && ../../$(VENV)/bin/python -m pytest -q --bin=../../.build/debug --broker=kafka; \
	else echo "No real Kafka in $(KAFKA): only the embedded broker was tested (set KAFKA_HOME to a folder with a start script)."; fi

lint:
	$(SWIFT) format lint --strict -r -p Sources Tests Package.swift

format:
	$(SWIFT) format format -i -r -p Sources Tests Package.swift

bench: build $(VENV)/done
	@$(VENV)/bin/python Benchmarks/run

# What is installed for it starts no daemons that stay: the benchmark runs servers of its own.
bench-peers: build $(VENV)/done
	@missing=$$(dpkg-query -W -f='$${Package} $${Status}\n' $(APT_PEERS) 2>/dev/null | awk '$$4=="installed"{print $$1}' | sort | comm -13 - <(printf '%s\n' $(APT_PEERS) | sort)); \
	if [ -n "$$missing" ]; then echo "Installing:" $$missing; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	for one in janus mumble-server; do systemctl disable --now $$one || service $$one stop; done >/dev/null 2>&1 || true; fi
	@$(VENV)/bin/python Benchmarks/peers/run

fuzz: deps
	Tests/Fuzz/run $(FUZZ_SECONDS)

sanitize: deps-test $(VENV)/done
	Tests/sanitizers/run address
	Tests/sanitizers/run thread

clean:
	rm -rf .build $(VENV) run
