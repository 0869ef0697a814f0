# Everything runs from .venv, which these targets make themselves. `make run` and `make test` are all one needs.
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin

.PHONY: run test lint bench faults rules clean help

help:
	@echo "make run    install and show the whole path on real purchases (about a minute)"
	@echo "make test   install and run all tests"
	@echo "make lint   ruff, mypy --strict, import-linter"
	@echo "make faults the daemon killed, paused, starved, 600 times over: about an hour (ARGS='--seeds 10' for less)"
	@echo "make rules  20,000 random rules on SQLite, PostgreSQL and in plain Python: about an hour (ARGS='--rules 2000' for less)"
	@echo "make bench  the benchmarks: JSON lines, ratios against a baseline in the same run"

run: .venv/.run
	@$(BIN)/regulars demo

test: .venv/.dev
	@$(BIN)/pytest -n 2 --dist worksteal $(ARGS)

lint: .venv/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/.dev
	@for script in benchmarks/*.py; do echo "# $$script" >&2; $(BIN)/python $$script || exit 1; done

faults: .venv/.dev
	@$(BIN)/python -m tests.faults $(ARGS)

rules: .venv/.dev
	@$(BIN)/python -m tests.rules $(ARGS)

clean:
	rm -rf .venv

.venv/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found."; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

.venv/.run: .venv/.made pyproject.toml constraints.txt
	@echo "Installing into .venv …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/.dev: .venv/.made pyproject.toml constraints.txt
	@echo "Installing into .venv …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@ .venv/.run
