# make run: set up what is missing, then the end-to-end run. Every tool that is missing is one line of advice.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := run
PYTHON ?= python3.11
JAVA := $(if $(JAVA_HOME),$(JAVA_HOME)/bin/java,java)
UV := $(or $(shell command -v uv),.tools/uv/bin/uv)
VENV := .venv/bin
MVN := mvn -q -B -f jobs/operator/pom.xml
SOURCES := schemas features jobs serving infra tests bench examples
# A run starts a dozen Pythons, the tests hundreds: without what Python keeps of an import each would compile Feast and all else again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-cli test-stacks test-stream test-core check lint bench pictures setup wheel clean

help: ## What there is to make.
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: setup ## The end-to-end run: history, model, Kafka, stream job, scorer, a report.
	@$(VENV)/headrace run --project examples/fraud

test: setup lint .venv-mlflow/.stamp ## Everything: linters, types, the operator's tests, all of pytest.
	@$(MAKE) --no-print-directory -j4 test-cli test-stacks test-stream test-core

test-cli: ## Of the tests: commands, walks of the docs, scorers, HTTP. They mostly wait, as the next ones do: for JVMs.
	$(VENV)/pytest -m stack $(RERUNS) tests/infra/cli tests/serving

test-stacks: ## Of the tests: whole stacks, end-to-end runs, takeovers, a secured Kafka.
	$(VENV)/pytest -m stack $(RERUNS) tests/infra --ignore tests/infra/cli

test-stream: ## Of the tests: what runs on the tests' one Flink cluster, in one process.
	$(VENV)/pytest -m stack --ignore tests/infra --ignore tests/serving

test-core: ## Of the tests: what needs no server.
	$(MVN) test
	$(VENV)/pytest -m "not stack"

check: setup ## What is quick: linters, types, the tests that are not marked slow or stack, on few random streams.
	$(VENV)/ruff check $(SOURCES)
	$(VENV)/mypy
	$(VENV)/pytest -q --quick -n 2 --dist loadfile

lint: setup ## Style, format and types.
	$(VENV)/ruff check $(SOURCES)
	$(VENV)/ruff format --check $(SOURCES)
	$(VENV)/mypy

pictures: setup ## Pictures of the page in docs/page, of the fraud example as it runs, in Chromium.
	PAGE_PICTURES=1 $(VENV)/pytest tests/serving/http/page/test_pictures.py

bench: setup .venv-bench/.stamp ## The figures in bench/results, the plots of hot keys, of the kinds of prediction and of decay.
	@$(VENV)/python -m bench
	@.venv-bench/bin/python -m bench.plot
	@$(VENV)/python -m bench.kinds
	@$(VENV)/python -m bench.decay

# Environments of their own: of what the benches compare with (bench), and of a server for the test of models from MLflow (mlflow).
.venv-%/.stamp: requirements/%.txt
	@$(FETCH_UV); [[ -x $(@D)/bin/python ]] || $(UV) venv --quiet --python $(PYTHON) $(@D)
	@echo "installing $< into $(@D)"; $(UV) pip sync --quiet --python $(@D) --require-hashes $<
	@touch $@

# The stamp holds the digest of what the environment was made from; the jars keep stamps of their own.
setup: ## Python packages, the jars of Kafka and of Flink's connector, the operator.
	@$(call need,$(PYTHON),Python 3.11,apt install python3.11 python3.11-venv)
	@$(call need,$(JAVA),a JDK 17 or newer,apt install openjdk-17-jdk-headless)
	@$(call need,mvn,Maven,apt install maven)
	@mkdir -p .stamps; digest=$$(cat requirements/dev.txt pyproject.toml | sha256sum); \
	if [[ ! -x $(VENV)/headrace || "$$(cat .stamps/python 2>/dev/null)" != "$$digest" ]]; then \
	  $(PACKAGES); echo "$$digest" > .stamps/python; \
	fi
	@$(VENV)/headrace setup

wheel: setup ## dist/headrace-….whl, with the operator as it is built here.
	@$(FETCH_UV); rm -rf build; $(UV) build --quiet --wheel --python $(VENV)/python; rm -rf build; ls dist/*.whl

clean: ## Remove what was made; data, models and the environment stay.
	rm -rf .stamps infra/jars jobs/operator/target jobs/operator/*.jar .mypy_cache .ruff_cache .pytest_cache
	find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +

# $(1): command, $(2): what it is, $(3): how to get it
define need
command -v $(1) >/dev/null || { echo "error: the setup needs $(2); there is no $(1); try: $(3)" >&2; exit 2; }
endef

define FETCH_UV
[[ -x $(UV) ]] || { $(PYTHON) -m venv .tools/uv && .tools/uv/bin/pip install --quiet --disable-pip-version-check uv; }
endef

# Versions and hashes are those of requirements/dev.txt, and nothing else is installed.
define PACKAGES
$(FETCH_UV); \
[[ -x $(VENV)/python ]] || $(UV) venv --quiet --python $(PYTHON) .venv; \
echo "installing Python packages into .venv"; $(UV) pip sync --quiet --python .venv --require-hashes requirements/dev.txt; \
$(UV) pip install --quiet --python .venv --no-deps -e .
endef
