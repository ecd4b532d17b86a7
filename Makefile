# make demo · make test · make ui · make lint · make bench · make clean
# CONTRIBUTING.md has the same steps without make.

PYTHON ?= python3
BIN := .venv/bin
BUNDLE := bundles/membranes/configs
DEMO := data/demo
RUN := $(BIN)/python -W ignore -m monai.bundle run
SMALL := --dataset_dir $(DEMO)/cells --models_dir $(CURDIR)/$(DEMO)/models --window "[256,256]"

.PHONY: demo test lint bench ui clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[test,dev,export,share]"
	touch $@

$(DEMO)/cells/datalist.json: | .venv/.installed
	$(BIN)/unet-school data phantom --kind cells --out $(DEMO)/cells --count 20 --size 256

demo: .venv/.installed $(DEMO)/cells/datalist.json
	$(RUN) training --config_file $(BUNDLE)/train.yaml $(SMALL) \
	    --max_epochs 8 --steps_per_epoch 25 --val_interval 1
	$(RUN) evaluating --config_file "['$(BUNDLE)/train.yaml','$(BUNDLE)/evaluate.yaml']" $(SMALL) \
	    --output_dir $(CURDIR)/$(DEMO)/evaluation
	@echo "MLflow      make ui, then http://127.0.0.1:5000 (experiment membranes)"

test: .venv/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.installed
	$(BIN)/python benchmarks/training_step.py

ui: .venv/.installed
	MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow server --host 127.0.0.1 --port 5000 --workers 1 \
	    --backend-store-uri sqlite:///$(CURDIR)/mlruns/mlflow.db

clean:
	rm -rf .venv $(DEMO) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
