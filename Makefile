PYTHON ?= $(shell command -v python3.11 || command -v python3)
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
READY := .venv/ready

# Without compiled bytecode every job starts several seconds later.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH

.PHONY: help install extras demo docs test test-gpu test-vllm test-inspect test-lm-eval lint format schema lock clean-results

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

install: $(READY)  ## Make the environment .venv, with all versions pinned

demo: $(READY)  ## Run the default experiment: real model, real data, to the report
	$(BIN)/snakemake --cores $(CORES)
	@echo "report: $(CURDIR)/results/report.html"

extras: $(READY)  ## Install what only some experiments need: bitsandbytes, deepspeed, liger-kernel, tensorboard
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --require-hashes \
		--requirement requirements-extras.lock

test: lint  ## Run all tests and static checks
	$(BIN)/pytest --numprocesses $(CORES) --maxprocesses 4

test-gpu: $(READY)  ## Run the tests that need a GPU (all others hide it)
	LORAGRID_TESTS_ON=cuda $(BIN)/pytest tests/gpu

test-vllm: $(READY) .venv-vllm/ready  ## Test the engine vllm on vLLM's build for CPUs, in an environment of its own (2 GB)
	$(BIN)/pytest tests/unit/inference/engines/test_vllm.py tests/workflow/test_vllm_workflow.py

test-inspect: $(READY) .venv-inspect/ready  ## Have Inspect read exported logs, in an environment of its own (300 MB)
	$(BIN)/pytest tests/unit/analysis/test_inspect_log.py

test-lm-eval: $(READY) .venv-lm-eval/ready  ## Compare likelihoods with lm-evaluation-harness, in an environment of its own (1 GB)
	$(BIN)/pytest tests/unit/inference/test_lm_eval.py

lint: $(READY)  ## Run the static checks
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	PYTHONPATH=workflow/scripts $(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

docs: .venv-docs/ready  ## Build the documentation as a site, to be read without a network: .cache/docs/site/index.html
	.venv-docs/bin/python docs/site/build.py .cache/docs
	@echo "site: $(CURDIR)/.cache/docs/site/index.html"

format: $(READY)  ## Format all code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/snakefmt Snakefile workflow

schema: $(READY)  ## Write the generated references anew: JSON schema, docs/configuration.md, docs/records.md
	PYTHONPATH=workflow/scripts $(BIN)/python -m loragrid.config.reference

lock: $(READY)  ## Resolve the versions in requirements.lock anew (UPGRADE=--upgrade for newer ones)
	$(BIN)/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.11 --generate-hashes --group dev \
		--no-emit-package torch --no-emit-index-url --no-header --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.11 --generate-hashes --extra extras \
		--constraint requirements.lock --no-emit-package torch --no-emit-index-url --no-header \
		--output-file requirements-extras.lock pyproject.toml
	$(BIN)/uv pip compile --quiet $(UPGRADE) --python-version 3.11 --generate-hashes --override envs/vllm-overrides.txt \
		--no-emit-package torch --no-emit-index-url --no-emit-find-links --no-header --output-file requirements-vllm.lock envs/vllm.in
	$(BIN)/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --output-file requirements-inspect.lock envs/inspect.in
	$(BIN)/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.11 --generate-hashes --constraint requirements.lock \
		--no-emit-package torch --no-emit-index-url --no-emit-find-links --no-header --output-file requirements-lm-eval.lock envs/lm-eval.in
	$(BIN)/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --output-file requirements-docs.lock envs/docs.in

clean-results:  ## Delete everything computed, but not the downloaded packages
	find results -mindepth 1 -maxdepth 1 ! -name packages -exec rm -r {} +

$(READY): requirements.lock envs/install.sh
	sh envs/install.sh $(PYTHON) .venv requirements.lock
	touch $@

.venv-vllm/ready: requirements-vllm.lock envs/install.sh
	sh envs/install.sh $(PYTHON) .venv-vllm requirements-vllm.lock
	touch $@

.venv-inspect/ready: requirements-inspect.lock envs/install.sh
	sh envs/install.sh $(PYTHON) .venv-inspect requirements-inspect.lock ""
	touch $@

.venv-lm-eval/ready: requirements-lm-eval.lock envs/install.sh
	sh envs/install.sh $(PYTHON) .venv-lm-eval requirements-lm-eval.lock
	touch $@

.venv-docs/ready: requirements-docs.lock envs/install.sh
	sh envs/install.sh $(PYTHON) .venv-docs requirements-docs.lock ""
	touch $@
