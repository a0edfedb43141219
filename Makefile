# Everything runs in a virtual environment of this checkout: .venv. `make demo` and `make test`
# make it themselves; PYTHON=... chooses the interpreter.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test test-fast test-slurm coverage lint types format notebooks docs site clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt scripts/setup.sh
	bash scripts/setup.sh $(VENV)
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/rnn demo

test: $(STAMP)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# While writing code: neither a database nor what takes long. Less than two minutes on two cores.
test-fast: $(STAMP)
	$(BIN)/python -m pytest -q -n logical --dist loadfile --no-loadscope-reorder \
		-m "not mysql and not postgresql and not slurm and not slow" $(PYTEST_ARGS)

# Workers on a SLURM of one node that it installs; needs root.
test-slurm: $(STAMP)
	bash scripts/slurm_test.sh

# Of the library, by its own tests: no database.
coverage: $(STAMP)
	$(BIN)/python -m pytest -q --cov=models --cov=tasks_lib --cov-report=term tests/models tests/tasks_lib tests/test_own_task.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(STAMP)
	$(BIN)/python scripts/run_notebooks.py

# The pages and figures that are made from the sources, and then the site, in build/site. Of the
# figures the README's take a minute: they are those of `make demo`.
docs: $(STAMP)
	$(BIN)/python scripts/make_task_page.py
	$(BIN)/python scripts/make_penalty_page.py
	$(BIN)/python scripts/make_parameter_page.py
	$(BIN)/python scripts/make_table_page.py
	$(BIN)/python scripts/make_architecture_page.py
	$(BIN)/python scripts/make_figures.py
	$(BIN)/python scripts/make_population_figures.py
	$(BIN)/python scripts/make_comparison_figure.py
	$(BIN)/python scripts/make_recording_figure.py
	$(BIN)/python scripts/make_manifold_figures.py
	$(BIN)/python scripts/make_learning_figures.py
	$(BIN)/python scripts/make_circuit_figure.py
	$(BIN)/python scripts/make_study_figure.py
	$(MAKE) site

# The site alone; a link or an anchor that leads nowhere is an error.
site: $(STAMP)
	$(BIN)/python scripts/gather_site.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "the site is in build/site: $(BIN)/python -m http.server --directory build/site"

clean:
	rm -rf $(VENV) build dist
