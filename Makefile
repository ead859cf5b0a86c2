# run: the whole pipeline; test: all checks. Each target first installs what it needs into .venv.
# PyPI's torch brings CUDA on Linux. To install the smaller CPU build:
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make run
PYTHON ?= python3
VENV := .venv
HARNESS := .venv-harness
PROFILE ?= workflow/profiles/local
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt
PYTEST := OMP_NUM_THREADS=1 pytest -n auto --maxprocesses 8 --dist loadgroup

SHELL := /bin/bash
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: run quickstart test test-long test-harness lint docs perf pull base da3 clean

run: $(VENV)/run.stamp
	snakemake --profile $(PROFILE)

# A first result in about a minute after the installation, on the shipped weights.
quickstart: $(VENV)/run.stamp
	spatialsv demo

test: lint
	$(PYTEST) -m "not long"

test-long: lint
	$(PYTEST)

# lmms-eval's pins conflict with ours, so it has a separate environment: 3 GB, or 7 GB with CUDA.
test-harness: $(VENV)/test.stamp $(HARNESS)/stamp
	SPATIALSV_HARNESS_PYTHON=$(HARNESS)/bin/python OMP_NUM_THREADS=1 pytest tests/harness

lint: $(VENV)/test.stamp
	ruff check
	ruff format --check
	snakefmt --check Snakefile workflow
	lint-imports
	mypy
	python workflow/sources.py --check

# The site in build/docs; `make test` builds it as well. It needs no network.
docs: $(VENV)/test.stamp
	sphinx-build -E -W --keep-going -b html docs build/docs
	@echo "Site: $(CURDIR)/build/docs/index.html"

perf: $(VENV)/test.stamp
	python perf/run.py

# Fetch the artefacts of dvc.lock. Their manifests say what they were made from.
pull: $(VENV)/run.stamp
	dvc pull
	@dvc status --quiet || { echo "data/ differs from dvc.lock: see dvc status." >&2; exit 1; }

# Train the shipped weights again from random weights: hours.
base: $(VENV)/run.stamp
	snakemake --profile $(PROFILE) base
	for part in mllm teacher; do \
		mkdir -p src/spatialsv/weights/$$part && \
		cp -r data/base/$$part/checkpoint/. src/spatialsv/weights/$$part/ || exit 1; \
	done

# Depth Anything 3, the teacher `da3`, in an environment of its own: see workflow/envs/da3.yaml.
DA3_PYTHON ?= python3.11
da3: $(VENV)/run.stamp
	$(DA3_PYTHON) -m venv external/da3
	external/da3/bin/pip --quiet install addict einops "numpy<2" omegaconf opencv-python-headless \
		pillow safetensors torch
	external/da3/bin/pip --quiet install --no-deps depth-anything-3==0.1.1
	hf download depth-anything/DA3-BASE --local-dir external/models/da3_base

clean:
	find data -mindepth 1 -maxdepth 1 ! -name .gitignore -exec rm -rf {} +
	rm -rf .snakemake

$(VENV)/run.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[workflow]'
	touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	$(PIP) -e '.[workflow,test,perf,docs]'
	touch $@

$(HARNESS)/stamp: pyproject.toml workflow/envs/harness.txt
	$(PYTHON) -m venv $(HARNESS)
	$(HARNESS)/bin/python -m pip --disable-pip-version-check --quiet install \
		-c workflow/envs/harness.txt -e '.[harness]'
	touch $@
