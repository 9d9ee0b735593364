# What a developer types; `make` alone lists it. Every environment is made once and again only when its lock changes.

PYTHON ?= python3
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?= --bundle edge/demo/washer-1.bundle --keys edge/demo
UPGRADE ?=
HOST_TESTS = tests/training tests/compile tests/calibration tests/benchmarks tests/contracts
SLOW_TESTS = tests/system tests/soak

.DEFAULT_GOAL = help
.PHONY: help demo test test-device test-system test-engines bench soak check docs demo-bundle wheel lock clean device-env

help:
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: .venv/device.stamp  ## a simulated line with its panel of verdicts; needs Python 3.10-3.13 and nothing else
	.venv/bin/edge demo $(DEMO_ARGS)

test: .venv/full.stamp  ## everything that takes minutes; what needs a missing peer or GPU is skipped (in CI: fails)
	$(if $(PYTEST_ARGS),.venv/bin/python -m pytest tests $(addprefix --ignore=,$(SLOW_TESTS)) $(PYTEST_ARGS),.venv/bin/python -m tests)

test-device: .venv-device-tests/stamp  ## the device's tests, with nothing of the host installed
	.venv-device-tests/bin/python -m pytest tests $(addprefix --ignore=,$(HOST_TESTS) $(SLOW_TESTS)) $(PYTEST_ARGS)

test-system: .venv/full.stamp  ## containers, virtual machines, peers that take long
	.venv/bin/python -m pytest tests/system --timeout=0 $(PYTEST_ARGS)

test-engines: .venv/full.stamp  ## TensorRT-RTX builds every default student, without a GPU; it comes into an environment of its own
	.venv/bin/python -m pytest tests/system/test_engines.py --timeout=0 $(PYTEST_ARGS)

wheel: .venv/device.stamp  ## dist/kenpin-*.whl, which is installed on a device
	.venv/bin/python $(subst install,wheel,$(PIP_INSTALL)) --no-deps -w dist .

bench: .venv/device.stamp  ## a short latency profile, held to ratios that no change may make worse
	.venv/bin/python -m benchmarks.cli $(BENCH_ARGS) --seconds 8 --runs 3 --idle 1 --budget benchmarks/budget.toml

soak: .venv/full.stamp  ## hours of the simulated line under faults
	.venv/bin/python -m pytest tests/soak --timeout=0 $(PYTEST_ARGS)

check: .venv/full.stamp  ## format, lint, types, import contracts, sizes
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/mypy docs/generate.py
	.venv/bin/lint-imports
	.venv/bin/python -m pytest tests/contracts/test_sizes.py tests/contracts/test_imports.py

docs: .venv/full.stamp  ## write the generated parts of docs/ again
	.venv/bin/python -m docs.generate

demo-bundle: .venv/full.stamp  ## train, compile and sign the demo's bundle again
	PATH="$(CURDIR)/.venv/bin:$$PATH" bash examples/demo_bundle.sh

lock: .venv-lock/uv.stamp  ## resolve the exact versions again; UPGRADE=--upgrade takes the newest
	$(COMPILE) -o requirements/device.txt
	$(COMPILE) --extra host --extra export --extra gpio --extra mqtt --extra openvino --extra plc --group dev -c requirements/limits.in -o requirements/ci.txt
	$(COMPILE) --extra gstreamer -c requirements/ci.txt $(ONLY_GSTREAMER) -o requirements/gstreamer.txt

COMPILE = .venv-lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.10 \
    --no-annotate --custom-compile-command "make lock" $(UPGRADE)
ONLY_GSTREAMER = $(foreach name,$(shell sed -nE 's/^([a-z0-9-]+)==.*/\1/p' requirements/device.txt 2>/dev/null | sort -u),--no-emit-package $(name))

clean:  ## remove environments, caches and build leftovers
	rm -rf .venv .venv-device .venv-device-tests .venv-lock build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	    .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/python .venv-device/bin/python .venv-device-tests/bin/python .venv-lock/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit((3, 10) <= sys.version_info < (3, 14) or \
	    "Python 3.10 to 3.13 is needed, this is " + sys.version.split()[0] + ": choose one with make PYTHON=...")' \
	    ; test $$? -eq 1 || exit 78
	$(PYTHON) -m venv $(@D)/..

# Only the device's dependencies, at locked versions.
.venv/device.stamp: requirements/device.txt pyproject.toml | .venv/bin/python
	.venv/bin/python $(PIP_INSTALL) -r requirements/device.txt
	.venv/bin/python $(PIP_INSTALL) --no-deps -e .
	@touch $@

# Everything. PyGObject is compiled on the spot, so it comes only where its headers are.
.venv/full.stamp: requirements/ci.txt requirements/gstreamer.txt pyproject.toml | .venv/bin/python
	@if pkg-config --exists gobject-introspection-1.0 cairo; then \
	    gstreamer="-r requirements/gstreamer.txt"; \
	else \
	    echo "GStreamer is left out: install libgirepository1.0-dev and libcairo2-dev, then: touch pyproject.toml"; \
	fi; \
	.venv/bin/python $(PIP_INSTALL) -r requirements/ci.txt $$gstreamer
	.venv/bin/python $(PIP_INSTALL) --no-deps -e .
	@touch $@ .venv/device.stamp

device-env: .venv-device/stamp

.venv-device/stamp: requirements/device.txt pyproject.toml | .venv-device/bin/python
	.venv-device/bin/python $(PIP_INSTALL) -r requirements/device.txt
	.venv-device/bin/python $(PIP_INSTALL) --no-deps -e .
	@touch $@

# The same with what its tests need; onnx draws small networks for them.
.venv-device-tests/stamp: requirements/device.txt requirements/ci.txt pyproject.toml | .venv-device-tests/bin/python
	.venv-device-tests/bin/python $(PIP_INSTALL) -r requirements/device.txt
	.venv-device-tests/bin/python $(PIP_INSTALL) -c requirements/ci.txt hypothesis onnx pytest pytest-timeout
	.venv-device-tests/bin/python $(PIP_INSTALL) --no-deps -e .
	@touch $@

.venv-lock/uv.stamp: | .venv-lock/bin/python
	.venv-lock/bin/python $(PIP_INSTALL) uv
	@touch $@
