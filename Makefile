# Every target sets up .venv first; PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS := .venv-peers
# Tests log to trackio, whose bound on pillow is older than the pinned one: these are all of it that nothing else brings.
TRACKIO := trackio brotli gradio_client orjson python-multipart

WORKERS ?= 2
PYTEST := $(BIN)/pytest
# Reading all other test files takes as long as these tests do.
ALONE = $(shell grep -rl --include='*.py' 'mark\.alone' tests)
SIDE_BY_SIDE := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: quickstart test test-fast lint perf peers faults contracts calibration results docs install

quickstart: $(INSTALLED)
	$(BIN)/bench run quickstart

# What measures time or memory comes first, alone; the notebook and the rest side by side.
test: $(INSTALLED)
	$(PYTEST) -m alone $(ALONE)
	$(PYTEST) -m "not alone and not campaign" $(SIDE_BY_SIDE) --durations 20 --nbmake docs/notebook.ipynb tests

test-fast: $(INSTALLED)
	$(PYTEST) -m "not slow and not alone and not campaign" $(SIDE_BY_SIDE)

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m tests.helpers.templates

perf: $(INSTALLED)
	$(BIN)/pytest tests/perf/speed.py --benchmark-json $(VENV)/perf.json
	$(BIN)/python -m tests.perf.report $(VENV)/perf.json docs/performance.md
	$(BIN)/python -m tests.perf.roofline $(VENV)/limits.json docs/performance.md
	$(BIN)/python -m tests.perf.commands $(VENV)/commands.json docs/performance.md
	$(BIN)/python -m tests.perf.suites $(VENV)/suites.json docs/performance.md
	$(BIN)/python -m tests.perf.scale $(VENV)/scale.json docs/performance.md --accelerator cpu

# The same work by other programs, side by side, for docs/performance.md; they are in an environment of their own, which sees
# .venv's packages: `make peers DATA=DIR`, some twenty minutes on a machine that does nothing else, and ten more the first time
# for the features of CIFAR-10, if it is there.
peers: $(PEERS)/.installed
	$(if $(DATA),$(PEERS)/bin/python -m tests.peers.features $(DATA))
	$(PEERS)/bin/python -m tests.peers $(VENV)/peers.json docs/performance.md $(if $(DATA),--data $(DATA))

# The contract suite on all methods; if it passes, the list of methods that passed it is written anew.
contracts: $(INSTALLED)
	$(BIN)/python -m tests.contract_passed

# Hours of kills, full disks, damaged files and shared stores, for the table of docs/reliability.md.
faults: $(INSTALLED)
	rm -f $(VENV)/faults.jsonl
	FAULTS=$(VENV)/faults.jsonl $(PYTEST) -m campaign
	$(BIN)/python -m tests.faults.report $(VENV)/faults.jsonl docs/reliability.md

# Rates of false claims, coverage and power in simulations, for docs/statistics.md.
calibration: $(INSTALLED)
	$(BIN)/python -m tests.stats.calibration

# Tables and figures of README.md and docs/results: `make results SUITES="quickstart vision" DATA=DIR`, on a machine that does nothing else.
results: $(INSTALLED)
	$(BIN)/python docs/results/regenerate.py $(SUITES) $(if $(DATA),--data $(DATA))
	$(BIN)/python docs/results/figures.py

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

install: $(INSTALLED)

$(PEERS)/.installed: $(INSTALLED) tests/peers/requirements.txt
	$(BIN)/python -m venv $(PEERS)
	$(PEERS)/bin/python -m tests.peers.environment $(BIN)/python
	$(PEERS)/bin/python -m pip install --quiet --no-deps --requirement tests/peers/requirements.txt
	touch $@

$(INSTALLED): pyproject.toml constraints.txt bench/weights.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer, got " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps $(TRACKIO)
	$(BIN)/bench weights fetch
	touch $@
