# Two commands on a fresh machine: `make demo` and `make test`. Each installs what it needs into .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test test-fast check bench evaluate lock clean

demo: $(STAMP)
	rm -rf partnership
	$(BIN)/commonthread demo
	$(BIN)/commonthread nightly
	$(BIN)/commonthread evaluate
	@echo
	@echo "The partnership's workspace is ./partnership: open the newest page in partnership/reports/ in a browser,"
	@echo "or try:  .venv/bin/commonthread --help"

test: check
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-fast: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m bench

evaluate: $(STAMP)
	$(BIN)/python -m bench.accuracy

# The lock holds nothing younger than LOCK_BEFORE: a release that has had time to be looked at.
LOCK_BEFORE ?= $(shell date -u -d '14 days ago' +%F)
lock: $(STAMP)
	$(BIN)/uv pip compile --exclude-newer $(LOCK_BEFORE) --generate-hashes --no-header --no-annotate --extra dev pyproject.toml -o requirements.lock

$(STAMP): requirements.lock requirements-uv.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements-uv.lock
	$(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(STAMP)

clean:
	rm -rf .venv partnership build *.egg-info bench/results
