# make demo · make test · make test-all · make ui · make lint · make docs · make bench · make clean
# CONTRIBUTING.md has the same steps without make.

PYTHON ?= python3
BIN := .venv/bin
BUNDLE := bundles/membranes
DEMO := data/demo
SMALL := window=[256,256] models_dir=$(DEMO)/models

.PHONY: demo test test-all lint docs bench ui clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[test,dev,export,share,docs]"
	touch $@

$(DEMO)/cells/datalist.json: | .venv/.installed
	$(BIN)/unet-school data phantom --kind cells --out $(DEMO)/cells --count 20 --size 256

demo: .venv/.installed $(DEMO)/cells/datalist.json
	$(BIN)/unet-school train $(BUNDLE) --data $(DEMO)/cells \
	    --set $(SMALL) max_epochs=8 steps_per_epoch=25 val_interval=1
	$(BIN)/unet-school evaluate $(BUNDLE) --data $(DEMO)/cells --out $(DEMO)/evaluation --set $(SMALL)
	@echo "MLflow      make ui, then http://127.0.0.1:5000 (experiment membranes)"

test: .venv/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-all: .venv/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: .venv/.installed
	$(BIN)/python benchmarks/training_step.py

ui: .venv/.installed
	MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow server --host 127.0.0.1 --port 5000 --workers 1 \
	    --backend-store-uri sqlite:///$(CURDIR)/mlruns/mlflow.db

clean:
	rm -rf .venv $(DEMO) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
