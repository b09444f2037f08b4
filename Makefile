# make demo   the whole job on one machine, then keeps serving (ONCE=1: ends, last line is JSON)
# make test   everything that CI runs: check, then the tests on SQLite and on a real PostgreSQL (there the first of
#             a test's cases; a use case's test is on one of the two, every fourth on PostgreSQL; EVERY=1: all on both)
# make simulate   the program in a simulated world, seed after seed, until one is red: SEEDS=4711 that one, with its log;
#             SEEDS=1000-2000 those between; SEEDS=200x the first 200 (`make test` runs 60)
# make month   a month of a practice with three places, by seed, as it is and with an error of each kind planted: books,
#             processors, bank and EHR agree each night, and tables say what was found, and by which rule lines are
#             matched: SEEDS=4711, 100-120, 3x
# make fuzz   broken HL7v2 at the real listener, each frame accounted for: N=1000000 so many, SEED=7; CASE=4711 that one alone
# make mutants   the program with one guard of SMART taken away, time after time: the twin of Inferno's test must see each
# make lost-answers   payments posted to four kinds of EHR that answer into the void, a thousand times each: ANSWERS=1000 SEED=1
# make race   everybody who may pay, capture or give back the same thing, at once: ROUNDS=1000 ENGINE=both SEED=1
# make explore   chance at the till: any moves of payments in any order, checked against the legal moves, and what is
#               told of a payment in shuffled orders, to one end: RUNS=1000 of each
# demo and test set up .venv by themselves from hashed locks; nothing else need be installed but Python 3.11+.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Compiled once and kept, whatever the environment says: the tests start the program a hundred times.
export PYTHONDONTWRITEBYTECODE :=
SOURCES := src tests

.PHONY: help install dev demo run test tests simulate month explore check fix golden bench soak race fuzz mutants lost-answers lock clean

help:
	@sed -n '1,/^[^#]/s/^# //p' Makefile; echo "also: install run check fix golden bench soak lock clean"

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "fhirpay needs Python 3.11 or newer; set PYTHON=…")'
	@$(PYTHON) -m venv .venv

# With uv in a tenth of pip's time; by pip where uv finds no index, since it doesn't read pip's settings.
$(BIN)/uv: requirements-uv.lock | .venv/bin/python
	@$(BIN)/python -m pip install -q --require-hashes -r requirements-uv.lock
	@touch $@

INSTALL = sh -c '$(BIN)/uv pip install -q --python $(BIN)/python "$$@" || $(BIN)/python -m pip install -q "$$@"' install

# A stamp per lock, so that a second run installs nothing.
.venv/runtime.stamp: requirements.lock pyproject.toml | $(BIN)/uv
	@echo "installing fhirpay into .venv …"
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps -e .
	@touch $@

.venv/dev.stamp: requirements-dev.lock .venv/runtime.stamp
	@echo "installing the tools that the tests need …"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

install: .venv/runtime.stamp

# Programs that nobody here wrote (MLLP peers, a SMART EHR); their tests are left out where there is no npm.
.venv/npm/stamp: tests/npm/package.json tests/npm/package-lock.json | .venv/bin/python
	@rm -rf tests/npm/node_modules && mkdir -p .venv/npm && cp tests/npm/*.json .venv/npm
	@if command -v npm >/dev/null; then cd .venv/npm && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >/dev/null; fi
	@touch $@

dev: .venv/dev.stamp .venv/npm/stamp

# Compiled by one process: all that test at once would each compile all of it, since none has it yet.
.venv/compiled.stamp: .venv/dev.stamp
	@$(BIN)/python -m pytest --collect-only -qq -n 0 >/dev/null 2>&1 || true  # what can't be imported, the tests say
	@touch $@

demo: install
	@$(BIN)/fhirpay demo $(if $(ONCE),--once)

run: install
	@$(BIN)/fhirpay serve

check: .venv/dev.stamp
	$(BIN)/ruff format --check -q $(SOURCES)
	$(BIN)/ruff check -q $(SOURCES)
	$(BIN)/basedpyright
	$(BIN)/lint-imports

fix: dev
	$(BIN)/ruff check -q --fix $(SOURCES)
	$(BIN)/ruff format -q $(SOURCES)

# Beside each other, and more tests at once than cores: the check keeps one busy, and tests of lost answers wait.
test:
	@$(MAKE) --no-print-directory -j 2 check tests

tests: dev .venv/compiled.stamp
	FHIRPAY_EVERY_CASE=$(EVERY) $(BIN)/python -m pytest -n 5 --dist loadfile --no-loadscope-reorder

simulate: dev
	@PYTHONPATH=tests:tests/simulation $(BIN)/python tests/simulation/simulate.py $(or $(SEEDS),200x)

month: dev
	@PYTHONPATH=tests:tests/month $(BIN)/python tests/month/month.py $(or $(SEEDS),3x)

RUNS ?= 1000
explore: dev
	@FHIRPAY_EXPLORE=$(RUNS) $(BIN)/python -m pytest -s tests/simulation/test_books_and_states.py tests/simulation/test_payment_orders.py \
	  -k 'any_moves or any_order'

golden: dev
	FHIRPAY_UPDATE_GOLDEN=1 $(BIN)/python -m pytest tests -k golden

bench: dev
	@mkdir -p build && rm -f build/bench.jsonl
	@for bench in tests/bench/bench_*.py; do $(BIN)/python $$bench || exit 1; done

# Goes on where it was interrupted; build/soak/ holds the worlds and their journals.
KILLS ?= 200
ENGINE ?= both
SEED ?= 1
soak: dev
	@$(BIN)/python tests/e2e/soak.py --kills $(KILLS) --engine $(ENGINE) --seed $(SEED)

# Goes on where it was interrupted; build/fuzz/ holds what was counted.
N ?= 100000
CASE ?= -1
fuzz: dev
	@$(BIN)/python tests/fuzz/fuzz.py --cases $(N) --seed $(SEED) --case $(CASE)

mutants: dev
	@$(BIN)/python tests/twins/twins.py $(if $(MUTANTS),--only "$(MUTANTS)")

ROUNDS ?= 1000
race: dev
	@$(BIN)/python tests/e2e/race.py --rounds $(ROUNDS) --engine $(ENGINE) --seed $(SEED)

ANSWERS ?= 1000
lost-answers: dev
	@$(BIN)/python tests/lost_answers/lost_answers.py --answers $(ANSWERS) --seed $(SEED)

# Locks name no index: they are the same wherever they are made.
lock: $(BIN)/uv
	echo uv | $(BIN)/uv pip compile -q - --universal --generate-hashes --no-emit-index-url --no-annotate --no-header -o requirements-uv.lock
	$(BIN)/uv pip compile -q pyproject.toml --universal --generate-hashes --no-emit-index-url --no-annotate --no-header -o requirements.lock
	$(BIN)/uv pip compile -q pyproject.toml --all-extras --group dev --group bench -c requirements.lock --universal --generate-hashes --no-emit-index-url --no-annotate --no-header -o requirements-dev.lock

clean:
	rm -rf .venv build dist var
