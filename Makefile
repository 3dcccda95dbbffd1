# `make demo` and `make test` set up everything they need. `make help` lists the rest.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
STAMP  := $(VENV)/.installed
DOCS   := $(VENV)/.installed-docs

.PHONY: demo test test-fast coverage fuzz audit lint format docs bench dist clean help
.DEFAULT_GOAL := demo

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev]'
	touch $@

$(DOCS): $(STAMP)
	$(PIP) -e '.[docs]'
	touch $@

demo: $(STAMP)  ## Cluster a bundled data set and write runs/demo/report.html
	$(BIN)/vrae demo

test: $(STAMP) lint  ## Check style and types, then run all tests
	$(BIN)/python -m pytest -n auto --dist worksteal

test-fast: $(STAMP)  ## Run the tests that take less than a few seconds each
	$(BIN)/python -m pytest -m "not slow"

coverage: $(STAMP)  ## Run all tests and show the lines and branches that none of them reaches
	$(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report term

fuzz: $(STAMP)  ## Test with over 50,000 new random panels, options and damaged files (an hour)
	VRAE_FUZZ=nightly $(BIN)/python -m pytest tests/test_fuzz.py tests/test_mutated_models.py

audit: $(STAMP)  ## Look up known vulnerabilities of the installed packages
	$(BIN)/pip-audit --skip-editable --desc off

lint: $(STAMP)  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## Format the code and apply safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS)  ## Run the tutorials and build the documentation site in site/; broken links are errors
	$(BIN)/mkdocs build --strict

bench: $(STAMP)  ## Measure speed against a plain PyTorch loop; fails if anything became slower
	$(BIN)/python benchmarks/speed/gate.py
	$(BIN)/python benchmarks/speed/classic.py
	$(BIN)/python benchmarks/speed/startup.py

dist: $(STAMP)  ## Build the wheel and the source distribution in dist/
	$(BIN)/python -m build --no-isolation

clean:  ## Remove the environment and everything that was built
	rm -rf $(VENV) build dist site .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
