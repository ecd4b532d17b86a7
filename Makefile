# make demo · make test · make test-all · make ui · make screenshots · make lint · make docs · make bench · make clean
# CONTRIBUTING.md has the same steps without make.

PYTHON ?= python3
BIN := .venv/bin
PEERS := connected-components-3d edt fill-voids surface-distance
DEMO := data/demo

.PHONY: demo test test-all lint docs bench ui screenshots clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[test,dev,dicom,export,fast,federated,jobs,search,serve,share,docs]"
	touch $@

demo: .venv/.installed
	$(BIN)/unet-school demo --out $(DEMO) --tracking mlruns
	@echo "MLflow      make ui"

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
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt $(PEERS)
	$(BIN)/python benchmarks/write_page.py

ui: .venv/.installed
	$(BIN)/unet-school ui

screenshots: .venv/.installed
	$(BIN)/python docs/mlflow_screenshots.py

clean:
	rm -rf .venv $(DEMO) dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
