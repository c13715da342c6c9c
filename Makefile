.PHONY: demo test quick lint docs release-check lowest clean

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

# The site, without one warning: build/docs/docs/index.html.
docs: .venv/installed
	$(BIN)/python -m sphinx -q -W -E -b html -c docs . build/docs
	@echo "wrote build/docs/docs/index.html"

# The wheel and the source distribution, each in an empty environment.
release-check: .venv/installed
	.ci/release-check $(BIN)/python

# The quick tests with the oldest dependencies that are allowed.
lowest:
	.ci/lowest $(PYTHON)

# torch first and by its pinned version: a plain `pip install torch` may fetch gigabytes of CUDA.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist docs/_generated *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -r {} +
