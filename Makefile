# Two commands matter: `make demo` shows the course at work, `make test` checks all of it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One thread: the models here are small, and threads that wait for a busy neighbour slow a step down tenfold.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The tests that catch most: judging, public cases, hostile notebooks, grades, formulas, the contract of all models.
QUICK := tests/test_repository.py \
	tests/autograder/authoring/test_notebooks.py::test_course_notebooks_are_in_step_with_their_sources \
	$(foreach name,normalise_catalogue checks exports grade_submission late_policy normalise normalise_process public_cases,$(wildcard tests/autograder/*/test_$(name).py)) \
	$(patsubst %,tests/avae_lib/test_%.py,checking checking_harnesses checking_records checking_verdicts components \
		divergences divergences_gaussian gaussians hierarchy_contract likelihoods logarithms meanfield_ising \
		meanfield_lda meanfield_mixture objectives textbook_training vae)

# The shorter ones; others take a GPU, or longer: benchmarks/README.md.
BENCHMARKS := startup train_step sampling scaling topic_model ising_sweep

.DEFAULT_GOAL := help
.PHONY: help setup constraints bubblewrap chromium demo quick test test-all test-matrix lint notebooks bench docs site clean

help:            ## list the commands
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1 \t/' | expand -t 20

setup: $(READY) bubblewrap  ## make .venv and install the tested versions (a second run does nothing)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.12 setup")'
	@echo "Installing into $(VENV): PyTorch alone is some gigabytes, so the first time takes a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[course,dev,docs]'
	@touch $(READY)

constraints: setup  ## write constraints.txt with today's newest versions; then run `make test-matrix`
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate \
		--custom-compile-command 'make constraints' --extra course --extra dev --extra docs --output-file constraints.txt pyproject.toml

bubblewrap:
	@sh .ci/install_with_apt.sh bwrap bubblewrap "grading needs it, or docker or podman; training works without"

demo: setup      ## train a small Deep Attentive VAE, then release, grade and return unit 03
	$(BIN)/avae train digits-attentive
	$(BIN)/python -m autograder.demo

chromium:
	@sh .ci/install_with_apt.sh chromium chromium "tests of pages and figures fail without it"

quick: lint      ## lint and the tests that catch most, in a few minutes
	$(BIN)/pytest -n 2 --dist loadgroup -m "not slow" $(QUICK)

test: setup chromium lint  ## lint, tests, all notebooks in fast mode
	$(BIN)/pytest -n 2 --dist loadgroup -m "not slow"

test-all: setup chromium lint  ## the same and what takes long
	$(BIN)/pytest -n 2 --dist loadgroup

test-matrix: setup chromium  ## the tests with other versions, threads, processors, locales (RUNS="colab-1 newest-2": these)
	$(BIN)/python tests/matrix.py $(RUNS)

lint: setup      ## style, import directions, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/basedpyright --pythonpath $(BIN)/python

notebooks: setup  ## build and execute the notebooks from their .py sources
	$(BIN)/python -m autograder.authoring.notebooks --execute

bench: setup     ## measure speed; each benchmark prints one table (benchmarks/README.md)
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done

docs: $(READY)   ## build the reference of the library alone into build/reference/
	$(BIN)/python docs/site/build_site.py --only reference --output build/reference

site: $(READY)   ## build the course's site, without answers, into build/site/
	$(BIN)/python docs/site/build_site.py

clean:           ## remove the environment and caches; runs, grades and the course secret stay
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .ruff_cache .hypothesis
