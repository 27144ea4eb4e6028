# What a bare clone needs is Python ≥ 3.11; everything else is installed into .venv, from one lock with hashes.

PYTHON ?= $(firstword $(foreach python,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(python))))
BIN := .venv/bin
INSTALLED := .venv/installed

# Where this is set (images and CI often do), each of the many processes that are started would compile anew all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: up demo test lint mutants soak bench lock

# make up FLAGS="--port 9000 --workers 4"
up: $(INSTALLED)
	@exec $(BIN)/lastslot up $(FLAGS)

# make demo FLAGS="--people 20000"
demo: $(INSTALLED)
	@exec $(BIN)/lastslot demo $(FLAGS)

# Most tests wait most of the time, so more files than a small machine has cores run side by side, in the order of
# tests/conftest.py (simulated histories get what the others leave); then those that measure time, all of them whole stacks.
test: lint
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder -m "not alone"
	$(BIN)/pytest -m alone tests/acceptance

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# make mutants FLAGS="ack-from-redis settled-by-adding"
mutants: $(INSTALLED)
	@$(BIN)/python -m tests.mutants $(FLAGS)

# Everything that may break, broken again and again; the table goes to docs/reliability.md. make soak FLAGS="--minutes 5 --seed 7"
soak: $(INSTALLED)
	@$(BIN)/python -m tests.soak --write $(FLAGS)
	@$(BIN)/python -m tests.simulation --first 20000 --count 100000

# All benchmarks, which takes about an hour; with FLAGS, only the bursts: make bench FLAGS="--scenario burst --rounds 9"
bench: $(INSTALLED)
	@$(BIN)/python -m loadtest.bench $(FLAGS)
	@$(if $(FLAGS),,$(BIN)/python -m loadtest.open_loop && $(BIN)/python -m loadtest.growth)
	@$(BIN)/python -m loadtest.report

# The lock names versions and hashes, and no place to get them from. Of the extras, `load` (locust) stays out: it is heavy, and
# only who runs loadtest/locustfile.py needs it (.venv/bin/pip install '.[load]').
lock: $(INSTALLED)
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --extra embedded --extra dev \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file requirements.lock pyproject.toml

# Again only when what is to be installed has changed. The project itself is built by what the lock brought. Bytecode is left to
# the first import: compiling all of it here would take as long as the download.
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check install --no-compile
$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Lastslot needs Python 3.11 or newer: install one, or name it with PYTHON=…" >&2; exit 1; }
	@echo "installing into .venv, which takes about a minute"
	@$(PYTHON) -m venv .venv
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --no-index --editable .
	@touch $@
