# Two commands on a fresh machine: `make demo` and `make test`. Each installs what it needs into .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

# Compiled modules are kept, whatever the shell says: each start of the program is shorter, and tests start it often.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-fast check bench bench-peers bench-linkage bench-match bench-quality evaluate lock clean

demo: $(STAMP)
	rm -rf partnership
	$(BIN)/commonthread demo
	$(BIN)/commonthread nightly
	$(BIN)/commonthread evaluate
	@echo
	@echo "The partnership's workspace is ./partnership: open the newest page in partnership/reports/ in a browser,"
	@echo "or try:  .venv/bin/commonthread --help"

test: check browser npm go strace
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

# The peers live in an environment of their own; nothing of theirs is installed beside us.
PEERS := bench/peers/.venv
PEERS_STAMP := $(PEERS)/.installed
bench-peers: $(PEERS_STAMP)

$(PEERS_STAMP): bench/peers/requirements.lock $(STAMP)
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(PEERS)
	$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(PEERS)/bin/python bench/peers/requirements.lock
	touch $(PEERS_STAMP)

bench-linkage: $(PEERS_STAMP)
	$(BIN)/python -m bench.linkage

bench-quality: $(PEERS_STAMP)
	$(BIN)/python -m bench.quality

bench-match: $(STAMP)
	$(BIN)/python -m bench.match

evaluate: $(STAMP)
	$(BIN)/python -m bench.accuracy

# The lock holds nothing younger than LOCK_BEFORE: a release that has had time to be looked at.
LOCK_BEFORE ?= $(shell date -u -d '14 days ago' +%F)
lock: $(STAMP)
	$(BIN)/uv pip compile --exclude-newer $(LOCK_BEFORE) --generate-hashes --no-header --no-annotate --extra dev pyproject.toml -o requirements.lock

# Programs of Debian that tests run, fetched where they are missing.
define debian
	@{ $(1); } >/dev/null 2>&1 || { \
	  as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$as_root apt-get update -q && \
	  $$as_root apt-get install -y -q --no-install-recommends $(2); }
endef

# The report's tests draw in a real browser.
.PHONY: browser
browser:
	$(call debian,command -v chromium,chromium)

# An independent implementation reads the audit log: Go's, of its module checksum database.
.PHONY: go
go:
	$(call debian,command -v go && test -d /usr/share/gocode/src/golang.org/x/mod/sumdb,golang-go golang-golang-x-mod-dev)

# Lets the calls of the audit log to the file system fail one by one.
.PHONY: strace
strace:
	$(call debian,command -v strace,strace)

# The API's tests run a real identity provider and a FHIR client that are written for Node.
NPM_STAMP := tests/npm/node_modules/.installed
.PHONY: npm
npm: $(NPM_STAMP)

$(NPM_STAMP): tests/npm/package-lock.json
	npm ci --prefix tests/npm --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $(NPM_STAMP)

$(STAMP): requirements.lock requirements-uv.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements-uv.lock
	$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(STAMP)

clean:
	rm -rf .venv partnership build *.egg-info bench/results
