# Targets for developers. Each creates .venv from the pinned requirements if it is missing or older.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEWEST := $(VENV)/newest
CHART := deploy/helm/provider-metrics-exporter
# One more than two processors, since many tests wait.
WORKERS := --numprocesses=3 --dist=worksteal
SOAK ?= --write docs/reliability.md
BENCH ?= --write docs/performance.md
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
# Requirements of the tests without version limits; exact pins stay.
UNBOUND := import re, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	wanted = project["dependencies"] + project["optional-dependencies"]["test"]; \
	print(*(re.split("[~<>]", one)[0] for one in wanted), sep="\n")
MODERN := import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ...")

.PHONY: demo run check test verify newest properties mutants faults browser soak bench stack day dashboards chart generate pictures dist sbom audit lock
.DEFAULT_GOAL := demo

demo: $(VENV)/run.stamp  ## run the exporter with an embedded demo gateway
	@$(BIN)/python -m exporter demo

run: $(VENV)/run.stamp  ## run the exporter with the environment or .env
	@$(BIN)/python .ci/dotenv.py $(BIN)/python -m exporter run

test: $(VENV)/test.stamp  ## test the whole program
	@$(BIN)/python -m pytest --quiet $(WORKERS) --cov --cov-report=term

verify: $(VENV)/test.stamp  ## test pages and their commands, packaging, images, figures; properties with more inputs
	@$(BIN)/python -m pytest --quiet --numprocesses=2 -m verify tests/verify
	@$(BIN)/python -m pytest --quiet --numprocesses=2 --hypothesis-profile=ci tests/properties

newest:  ## run the tests with the newest versions of all packages
	@$(PYTHON) -c '$(MODERN)'
	@$(PYTHON) -m venv --clear $(NEWEST)
	@$(PYTHON) -c '$(UNBOUND)' >$(NEWEST)/requirements.txt
	@$(NEWEST)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $(NEWEST)/requirements.txt
	@$(NEWEST)/bin/python -m pytest --quiet $(WORKERS)

properties: $(VENV)/test.stamp  ## run the property tests with random inputs, for some minutes
	@$(BIN)/python -m pytest --quiet --numprocesses=2 --hypothesis-profile=search tests/properties

mutants: $(VENV)/test.stamp  ## change the code of the core, and name the changes that no test notices
	@$(BIN)/python .ci/mutants.py

faults: $(VENV)/test.stamp  ## test all faults, and write the matrix to docs/reliability.md
	@$(BIN)/python -m pytest --quiet -rs $(WORKERS) -m faults --matrix=docs/reliability.md tests/faults

browser: $(VENV)/browser.stamp  ## test the status page in Chromium, over a day of the demo
	@$(BIN)/python -m pytest --quiet --numprocesses=2 -m browser tests/browser

soak: $(VENV)/test.stamp  ## run 20,000 polls with random faults, and write the figures to docs/reliability.md
	@$(BIN)/python -m tests.faults.soak $(SOAK)

bench: $(VENV)/test.stamp  ## run the benchmarks, and write the tables to docs/performance.md
	@$(BIN)/python -m bench $(BENCH)

stack: $(VENV)/browser.stamp  ## test with the real servers, built once (half an hour) or installed (Loki, Tempo, Grafana)
	@command -v go >/dev/null || $(MAKE) --no-print-directory $(VENV)/go.stamp
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.stack.machine
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest --quiet -rs --numprocesses=3 -m stack tests/stack

day: $(VENV)/test.stamp  ## replay the day of the demo against the rules, and write the alerts to docs/alerts.md
	@$(BIN)/python -m tests.stack.day

dashboards: $(VENV)/test.stamp  ## generate grafana/dashboards/ from grafana/generator/
	@$(BIN)/python -W ignore -m grafana.generator
	@$(MAKE) --no-print-directory chart

chart:  ## copy rules and dashboards into the Helm chart, which cannot read files outside its folder
	@rm -f $(CHART)/files/rules/* $(CHART)/files/dashboards/*
	@cp prometheus/rules/*.yml $(CHART)/files/rules/
	@cp grafana/dashboards/*.json $(CHART)/files/dashboards/

dist: $(VENV)/test.stamp  ## build the source archive and the wheel in dist/
	@$(BIN)/python -m build --no-isolation

sbom: $(VENV)/test.stamp  ## write the SBOM to dist/, as CycloneDX 1.6
	@PYTHONPATH=. $(BIN)/python .ci/sbom.py dist/sbom.cdx.json

generate: $(VENV)/test.stamp  ## write everything that is made from code: tables of pages, golden expositions, dashboards, chart
	@$(BIN)/python -m generate.tables
	@$(BIN)/python -m pytest --quiet --golden tests/poll/test_poller.py -k golden
	@$(MAKE) --no-print-directory dashboards

pictures: $(VENV)/browser.stamp  ## create docs/pictures/ from the running demo with chromium
	@$(BIN)/python -m generate.pictures

check: $(VENV)/dev.stamp  ## style, types, imports between packages
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >$(VENV)/imports.txt || { cat $(VENV)/imports.txt; exit 1; }

audit: $(VENV)/dev.stamp  ## search for secrets, and for pinned packages that are withdrawn, vulnerable or lack a wheel
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python .ci/audit.py

lock: $(VENV)/dev.stamp  ## compile requirements/ from pyproject.toml
	@$(BIN)/$(COMPILE) pyproject.toml --output-file requirements/run.txt
	@$(BIN)/$(COMPILE) pyproject.toml --extra test --output-file requirements/test.txt
	@$(BIN)/$(COMPILE) pyproject.toml --extra test --extra browser --extra dev --output-file requirements/dev.txt
	@$(BIN)/$(COMPILE) pyproject.toml --extra test --extra browser --output-file requirements/browser.txt
	@$(BIN)/$(COMPILE) pyproject.toml --extra test --extra go --output-file requirements/go.txt

$(VENV)/%.stamp: requirements/%.txt
	@$(PYTHON) -c '$(MODERN)'
	@echo "Creating $(VENV) from $< (once, about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	@touch $@
