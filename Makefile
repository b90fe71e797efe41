# Python 3.11 or newer; for example: make up PYTHON=python3.12
PYTHON ?= python3

# In this order, a folder at a time in each of two processes: fast ones first, and beside them the whole stack, which
# takes longest.
TESTS = tests/rules tests/core tests/e2e tests/functions tests/hub tests/adapters tests/terraform tests/contract \
        tests/emulator/engine tests/chaos tests/emulator/images tests/emulator/cloud tests/emulator/kube \
        tests/emulator/kubelet tests/emulator/streams tests/emulator/run tests/emulator/stack tests/emulator/alone \
        tests/browser

up:  ## install what is missing and run the stack until Ctrl-C; BACKEND=cloud_build builds by Cloud Build
	@$(PYTHON) emulator/bootstrap.py && exec .venv/bin/python -m emulator up $(if $(BACKEND),--backend $(BACKEND))

kube:  ## only the emulated Kubernetes, until Ctrl-C
	@$(PYTHON) emulator/bootstrap.py && exec .venv/bin/python -m emulator kube

demo:  ## launch the examples on the running stack
	@$(PYTHON) emulator/bootstrap.py && exec .venv/bin/python -m emulator demo

down status:  ## of a stack that runs elsewhere
	@$(PYTHON) emulator/bootstrap.py && exec .venv/bin/python -m emulator $@

check:  ## format, lint, types, layers
	@$(PYTHON) emulator/bootstrap.py --tests
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

terraform-check:  ## terraform/: format, validity, its tests, plans, policy
	@$(PYTHON) emulator/bootstrap.py --tests && exec .venv/bin/python -m pytest tests/terraform

test:  ## everything; whole launches on both build backends
	@$(PYTHON) emulator/bootstrap.py --tests
	.venv/bin/python -m pytest --numprocesses=2 --no-loadscope-reorder $(TESTS)
	.venv/bin/python -m pytest --backend=cloud_build tests/e2e/test_launch.py tests/e2e/test_survival.py

test-cloud-build:  ## all that needs the whole stack, with Cloud Build
	@$(PYTHON) emulator/bootstrap.py --tests && exec .venv/bin/python -m pytest --backend=cloud_build tests/e2e

chaos:  ## minutes in which everything fails and is killed; SEED=, LAUNCHES=, MINUTES= of each of three seeds, BACKEND=
	@$(PYTHON) emulator/bootstrap.py --tests
	.venv/bin/python -m tests.chaos SEED=$(SEED) LAUNCHES=$(LAUNCHES) MINUTES=$(MINUTES) BACKEND=$(BACKEND)

lock:  ## pin the newest versions that the requirements.in files allow
	@$(PYTHON) emulator/bootstrap.py --tests
	for name in requirements emulator/requirements tests/requirements emulator/hub/requirements tests/terraform/checkov; do \
	  .venv/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header \
	    $$name.in --output-file $$name.txt || exit 1; \
	done
	for folder in emulator/hub tests/e2e/clients; do \
	  (cd $$folder && npm install --package-lock-only --omit-lockfile-registry-resolved) || exit 1; \
	done

.PHONY: up kube demo down status check terraform-check test test-cloud-build chaos lock
