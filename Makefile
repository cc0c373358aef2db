# alps-geo: make help lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SCENE_DEMO := tests/data/naip_md_1m.tif

.DEFAULT_GOAL := help
.PHONY: help demo test test-qgis lint format docs site label batch bench bench-gpu bench-quality bench-seams bench-pretrain clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# Made anew when the dependencies change, so that every target can be run first on a fresh clone.
$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev,docs]'
	@touch $@

demo: $(INSTALLED)  ## Label a real NAIP scene; the results lie in demo/
	$(BIN)/alps-geo label $(SCENE_DEMO) --out demo
	@echo
	@echo "Look at demo/naip_md_1m/preview.png, or open labels.tif and segments.gpkg there in QGIS."

# A process for each core, one thread each: torch on more threads than cores is many times slower.
test: $(INSTALLED)  ## Run the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

# Debian's QGIS brings a Python of its own; nothing of it is in the environment.
test-qgis: $(INSTALLED)  ## Test the plugin in the real QGIS, without a screen; installs Debian's if it is absent
	@command -v qgis_process > /dev/null && /usr/bin/python3 -c "import qgis" || { \
		sudo=$$(test "$$(id -u)" = 0 || echo sudo); $$sudo apt-get update && \
		$$sudo apt-get install --yes --no-install-recommends qgis python3-qgis; }
	OMP_NUM_THREADS=1 ALPS_GEO_QGIS=1 $(BIN)/python -m pytest tests/qgis

lint: $(INSTALLED)  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED)  ## Write the pages that are made from the code: options, and the map of the modules
	$(BIN)/python docs/make_options.py
	$(BIN)/python docs/make_map.py

site: $(INSTALLED)  ## Build the documentation into build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open build/site/index.html."

label: $(INSTALLED)  ## Label one scene: make label SCENE=file.tif OUT=folder
	@test -n "$(SCENE)" && test -n "$(OUT)" || { echo "usage: make label SCENE=file.tif OUT=folder" >&2; exit 2; }
	$(BIN)/alps-geo label "$(SCENE)" --out "$(OUT)"

batch: $(INSTALLED)  ## Label all rasters of a folder with one cluster model: make batch SCENES=dir OUT=dir
	@test -n "$(SCENES)" && test -n "$(OUT)" || { echo "usage: make batch SCENES=folder OUT=folder" >&2; exit 2; }
	$(BIN)/alps-geo label "$(SCENES)" --out "$(OUT)"

bench: $(INSTALLED)  ## Compare the mask engine with segment_anything's, in speed and masks
	$(BIN)/python benchmarks/bench_masks.py

bench-gpu: $(INSTALLED)  ## The same on an NVIDIA GPU, for mobile_sam and vit_h
	$(BIN)/python benchmarks/bench_masks.py --device cuda --model mobile_sam vit_h --random-encoder

bench-quality: $(INSTALLED)  ## Compare labels with k-means on pixels, on real ground truth
	$(BIN)/alps-geo label $(SCENE_DEMO) --out demo --quiet
	$(BIN)/python benchmarks/bench_quality.py --run demo --ablation build/ablation

bench-seams: $(INSTALLED)  ## Measure how visible tile borders are, and what moving the grid changes
	$(BIN)/python benchmarks/bench_seams.py

# A scene that is not in the repository takes part as PAIR="scene.tif truth.tif 0,255".
NAIP := --pair tests/data/naip_md_1m.tif tests/data/naip_md_1m_landcover.tif 15

bench-pretrain: $(INSTALLED)  ## Measure what pre-training on pseudo-labels is worth
	$(BIN)/python benchmarks/bench_pretrain.py --jobs 2 $(if $(PAIR),$(NAIP) --pair $(PAIR))

clean:  ## Remove the environment, the demo's results and all caches
	rm -rf $(VENV) demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
