# Every target sets up what it needs; `make demo` and `make test` are all that a newcomer has to know.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test test-fast fuzz audit lint format docs bench dist clean
.DEFAULT_GOAL := demo

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)  ## cluster bundled real data; ends in runs/demo/report.html
	$(BIN)/vrae demo

test: $(STAMP) lint  ## everything: lint, types and all tests
	$(BIN)/python -m pytest -n auto --dist loadfile

test-fast: $(STAMP)  ## leave out what trains for seconds
	$(BIN)/python -m pytest -m "not slow"

fuzz: $(STAMP)  ## more than ten thousand random panels, options and damaged files, other ones each time; ten minutes
	VRAE_FUZZ=nightly $(BIN)/python -m pytest tests/test_fuzz.py

audit: $(STAMP)  ## known weaknesses of what is installed; asks the Python Package Index
	$(BIN)/pip-audit --skip-editable --desc off

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)  ## the documentation site, in site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict

bench: $(STAMP)  ## fails if anything is slower than it was; seconds an epoch beside a plain loop; start-up time
	$(BIN)/python benchmarks/speed/gate.py
	$(BIN)/python benchmarks/speed/classic.py
	$(BIN)/python benchmarks/speed/startup.py

dist: $(STAMP)  ## wheel and sdist, in dist/
	$(BIN)/python -m build --no-isolation

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
