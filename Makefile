.PHONY: demo test quick lint clean

PYTHON ?= python3
BIN := .venv/bin
# A process for each core; one that has nothing left takes tests from the others.
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal

demo: .venv/installed
	$(BIN)/captum-fv demo

test: lint
	$(PYTEST) --durations=10

quick: .venv/installed
	$(PYTEST) -m "not extended and not kills"

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# torch first and by its pinned version: a plain `pip install torch` may fetch gigabytes of CUDA.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -r {} +
