# difftest: every target does its own set-up in .work/ and says what it is doing.
# Needs: Rust (rustup.rs), Python >= 3.10 with its library (Debian: python3-dev), a C compiler, git.

PYTHON ?= python3
WORK := $(CURDIR)/.work
VENV := $(WORK)/venv
BIN := $(VENV)/bin
BENCH := $(WORK)/bench
GITHUB := tests/github
say = @printf '\033[1m==> %s\033[0m\n' "$(1)"

# cargo's tests embed the interpreter of the virtual environment, not whichever is found first.
export PYO3_PYTHON := $(BIN)/python
export VIRTUAL_ENV := $(VENV)
# The runner's tests have the real engine run in the real sandbox.
export DIFFTEST_TEST_PYTHON := $(BIN)/python
# The library of that interpreter, for test programs that embed it.
python_lib = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')
cargo_test = env LD_LIBRARY_PATH="$(python_lib):$$LD_LIBRARY_PATH" cargo test --workspace --locked

.PHONY: help build demo test test-rust test-python test-torch test-github test-house \
	bench bench-install bench-verdict bench-bank lint clean

help:
	@echo "make demo   the main job from a pull request to its comment, on this machine alone"
	@echo "make test   all tests"
	@echo "make bench  benchmarks, as ratios against a named peer; make bench-verdict: the verdict's error rates;"
	@echo "            make bench-bank: the verdict on changes whose truth is known (an hour)"
	@echo "make lint   rustfmt, clippy, cargo deny, ruff, mypy"

$(VENV)/.ready: pyproject.toml
	$(call say,Python environment in .work/venv)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python >= 3.10 is needed; name one: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(GITHUB)/node_modules/.ready: $(GITHUB)/package-lock.json
	$(call say,npm packages of the GitHub stand-in in $(GITHUB)/node_modules)
	@cd $(GITHUB) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

build: $(VENV)/.ready
	$(call say,the native module and the command line (the first build takes minutes))
	@$(BIN)/maturin develop --locked --quiet >/dev/null
	@$(BIN)/difftest --version

demo: build $(GITHUB)/node_modules/.ready
	$(call say,the main job: three pull requests)
	@$(BIN)/python -m tests.house.demo --out $(WORK)/demo

test: test-rust test-python test-github test-house
	$(call say,all tests passed)

test-rust: build $(GITHUB)/node_modules/.ready
	$(call say,Rust tests)
	@tests/with-postgres.sh $(cargo_test)

test-python: build
	$(call say,Python tests)
	@$(BIN)/python -m pytest python/tests -m "not torch"

test-github: $(GITHUB)/node_modules/.ready
	$(call say,tests of the GitHub stand-in)
	@cd $(GITHUB) && PATH="$$(dirname "$$(./node.sh)"):$$PATH" npm test --silent

test-house: build $(GITHUB)/node_modules/.ready
	$(call say,the whole house: the main job and its faults and the editor and the Action)
	@cargo build --quiet --locked -p difftest-lsp
	@tests/with-postgres.sh $(BIN)/python -m pytest tests

$(WORK)/torch/.ready: pyproject.toml
	$(call say,PyTorch environment in .work/torch (3 GB))
	@$(PYTHON) -m venv $(WORK)/torch
	@$(WORK)/torch/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	@$(WORK)/torch/bin/python -m pip install --quiet --group dev --group torch --group bench --group export
	@touch $@

test-torch: build $(WORK)/torch/.ready
	$(call say,the torch back end on small models)
	@DIFFTEST_REQUIRE_TORCH=1 OMP_NUM_THREADS=1 PYTHONPATH=python $(WORK)/torch/bin/python -m pytest python/tests -m torch

# The peers of the benchmarks, beside what the torch environment has. It is linked, not installed again.
$(BENCH)/.ready: $(WORK)/torch/.ready
	$(call say,environment of the benchmarks in .work/bench)
	@$(PYTHON) -m venv $(BENCH)
	@$(WORK)/torch/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		>"$$($(BENCH)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch.pth"
	@$(BENCH)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	@$(BENCH)/bin/python -m pip install --quiet --group bench
	@touch $@

# A release build, as a user installs it: the dev build's figures say nothing.
bench-install: build $(BENCH)/.ready
	$(call say,a release build (the first takes minutes))
	@rm -rf $(BENCH)/wheel
	@$(BIN)/maturin build --release --locked --quiet --out $(BENCH)/wheel
	@$(BENCH)/bin/python -m pip install --quiet --no-deps --force-reinstall $(BENCH)/wheel/*.whl

bench: bench-install
	@for script in ssim metrics png engine memory discovery help; do \
		printf '\033[1m==> %s\033[0m\n' "tests/bench/$$script.py"; \
		$(BENCH)/bin/python tests/bench/$$script.py || echo "$$script: a target was missed"; \
	done

bench-verdict:
	$(call say,error rates of the verdict and images spent (seeded simulation))
	@cargo bench --quiet --locked -p difftest-core --bench verdict

bench-bank: build
	$(call say,the verdict on changes whose truth is known: detection and false alarms and images spent)
	@$(BIN)/python -m tests.bank.bench

lint: $(VENV)/.ready
	$(call say,rustfmt)
	@cargo fmt --all --check
	$(call say,clippy)
	@cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	$(call say,cargo deny)
	@tests/cargo-deny.sh
	$(call say,ruff and mypy)
	@$(BIN)/ruff check python tests action
	@$(BIN)/ruff format --check python tests action
	@$(BIN)/mypy

clean:
	rm -rf $(WORK) target $(GITHUB)/node_modules
