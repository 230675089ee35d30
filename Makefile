# The verbs people type. Each makes .venv from the pinned requirements when it is missing or older than they are.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEWEST := $(VENV)/newest
CHART := deploy/helm/provider-metrics-exporter
SOAK ?= --write docs/reliability.md
BENCH ?= --write docs/performance.md
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
# What the tests need, without its bounds; a version that is pinned there has its reason, and stays.
UNBOUND := import re, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	wanted = project["dependencies"] + project["optional-dependencies"]["test"]; \
	print(*(re.split("[~<>]", one)[0] for one in wanted), sep="\n")
MODERN := import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ...")

.PHONY: demo run check test verify newest properties faults soak bench stack day dashboards chart generate pictures dist sbom audit lock
.DEFAULT_GOAL := demo

demo: $(VENV)/run.stamp  ## watch it work, with an embedded gateway and no key
	@$(BIN)/python -m exporter demo

run: $(VENV)/run.stamp  ## the real thing: set GATEWAY_API_URL and ADMIN_KEY, or write them into .env
	@$(BIN)/python .ci/dotenv.py $(BIN)/python -m exporter run

test: $(VENV)/test.stamp  ## test the whole program: nothing else is needed
	@$(BIN)/python -m pytest --quiet --numprocesses=2 --cov --cov-report=term

verify: $(VENV)/test.stamp  ## test what surrounds the program: pages and their commands, packaging, images, figures
	@$(BIN)/python -m pytest --quiet --numprocesses=2 -m verify tests/verify

newest:  ## the tests with the newest versions that there are, bounds ignored: what an upgrade would break
	@$(PYTHON) -c '$(MODERN)'
	@$(PYTHON) -m venv --clear $(NEWEST)
	@$(PYTHON) -c '$(UNBOUND)' >$(NEWEST)/requirements.txt
	@$(NEWEST)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $(NEWEST)/requirements.txt
	@$(NEWEST)/bin/python -m pytest --quiet --numprocesses=2

properties: $(VENV)/test.stamp  ## what holds for any input, with other inputs in every run, for some minutes
	@$(BIN)/python -m pytest --quiet --numprocesses=2 --hypothesis-profile=search tests/properties

faults: $(VENV)/test.stamp  ## everything that can go wrong, as a matrix, which is written into docs/reliability.md
	@$(BIN)/python -m pytest --quiet -rs --numprocesses=2 -m faults --matrix=docs/reliability.md tests/faults

soak: $(VENV)/test.stamp  ## 20,000 polls with random faults; the figures are written into docs/reliability.md
	@$(BIN)/python -m tests.faults.soak $(SOAK)

bench: $(VENV)/test.stamp  ## what it costs, beside others; the table is written into docs/performance.md
	@$(BIN)/python -m bench $(BENCH)

stack: $(VENV)/test.stamp  ## the proof with the real servers, built once (half an hour) or found (Loki, Tempo, Grafana)
	@command -v go >/dev/null || $(MAKE) --no-print-directory $(VENV)/go.stamp
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest --quiet -rs -m stack --ignore=tests/stack/test_intervals.py tests/stack
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest --quiet -rs --numprocesses=2 -m stack tests/stack/test_intervals.py

day: $(VENV)/test.stamp  ## play the demo's day against the rules; the alerts that fire are written into docs/alerts.md
	@$(BIN)/python -m tests.stack.day

dashboards: $(VENV)/test.stamp  ## write grafana/dashboards/ from grafana/generator/
	@$(BIN)/python -W ignore -m grafana.generator
	@$(MAKE) --no-print-directory chart

chart:  ## copy rules and dashboards into the Helm chart, which reads nothing outside its folder
	@rm -f $(CHART)/files/rules/* $(CHART)/files/dashboards/*
	@cp prometheus/rules/*.yml $(CHART)/files/rules/
	@cp grafana/dashboards/*.json $(CHART)/files/dashboards/

dist: $(VENV)/test.stamp  ## build the package into dist/: the archive of the source, and from it the wheel
	@$(BIN)/python -m build --no-isolation

sbom: $(VENV)/test.stamp  ## write what the program is made of into dist/, as CycloneDX 1.6
	@PYTHONPATH=. $(BIN)/python .ci/sbom.py dist/sbom.cdx.json

generate: $(VENV)/test.stamp  ## write everything that is made from code: tables of pages, golden expositions, dashboards, chart
	@$(BIN)/python -m tests.verify.docs.tables
	@$(BIN)/python -m pytest --quiet --golden tests/poll/test_poller.py -k golden
	@$(MAKE) --no-print-directory dashboards

pictures: $(VENV)/test.stamp  ## make docs/pictures/ from the running demo, with the command chromium
	@$(BIN)/python -m tests.verify.docs.pictures

check: $(VENV)/dev.stamp  ## style, types, imports between packages
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >$(VENV)/imports.txt || { cat $(VENV)/imports.txt; exit 1; }

audit: $(VENV)/dev.stamp  ## secrets in the tree; of what is pinned: what was withdrawn, lacks a wheel, is vulnerable
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python .ci/audit.py

lock: $(VENV)/dev.stamp  ## compile requirements/*.txt from pyproject.toml
	@$(BIN)/$(COMPILE) pyproject.toml --output-file requirements/run.txt
	@$(BIN)/$(COMPILE) pyproject.toml --extra test --output-file requirements/test.txt
	@$(BIN)/$(COMPILE) pyproject.toml --extra test --extra dev --output-file requirements/dev.txt
	@$(BIN)/$(COMPILE) pyproject.toml --extra test --extra go --output-file requirements/go.txt

$(VENV)/%.stamp: requirements/%.txt
	@$(PYTHON) -c '$(MODERN)'
	@echo "Making $(VENV) from $< (once, about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	@touch $@
