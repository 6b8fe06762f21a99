# `make` explains the targets. A machine without a GPU: see "The small CPU build of torch" in README.md.
PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
WORKERS ?= 2
# Address of an additional package index, such as the one that PyTorch's site names for its CPU builds.
TORCH_INDEX ?=

# Of virtual-pi: a data set whose images are segmented on both machines, beside the demo's.
IMAGES ?= $(wildcard $(or $(EDGESEG_DATA),../shared/data)/usgra_nerve_vessel)

BIN := $(VENV)/bin
READY := $(VENV)/.edgeseg-ready
INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
PACKAGES := train compress export runtime benchmarks pipeline

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-lowest compat virtual-pi sbom check format clean

help: ## this list
	@echo "usage: make TARGET [PYTHON=python3.12] [TORCH_INDEX=URL]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(READY) ## make .venv and install everything, pinned by constraints.txt (about two minutes)

demo: $(READY) ## run the whole chain on the embedded data set: a bundle and a report in runs/demo
	$(BIN)/edgeseg demo --out $(RUNS)

test: $(READY) ## run all tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-lowest: $(READY) ## run the device's tests on the lowest versions allowed, with the bundle of make demo
	WORKERS=$(WORKERS) .ci/lowest $(BIN)/python $(RUNS)/demo/demo.edgeseg

compat: $(READY) ## compare the TFLite files of make demo's bundle in every interpreter; fetches TensorFlow, 2 GB on disk
	$(BIN)/python benchmarks/files/compat.py $(RUNS)/demo/demo.edgeseg $(if $(DATA),--data $(DATA))

virtual-pi: $(READY) ## run the bundle of make demo on emulated Raspberry Pis, against this machine; says why where it cannot
	@$(BIN)/python tests/virtual_pi/check.py $(RUNS)/demo/demo.edgeseg --data $(or $(DATA),$(RUNS)/demo/data/*) \
	  $(if $(IMAGES),--images $(IMAGES)) || [ $$? = 77 ]

sbom: $(READY) ## write the software bill of materials of every extra, CycloneDX, into build/sbom
	$(BIN)/python .ci/sbom.py build/sbom

check: $(READY) ## ruff, mypy, import-linter and the checks of the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES)
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_repository.py

format: $(READY) ## let ruff write the code the way it likes it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and caches; runs/ stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "error: $(PYTHON) must be Python 3.11, 3.12 or 3.13. Name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "error: $(PYTHON) cannot make environments. On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check $(INDEX) -e '.[dev]' -c constraints.txt
	@touch $@
