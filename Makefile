# make setup | demo | test | lint | bench, from any folder: `make -C path/to/babyseg demo`.
.PHONY: setup demo test lint bench help

# Quoted by the shell, so that a path with a space survives.
export BABYSEG_MAKEFILE := $(MAKEFILE_LIST)
run = cd "$$(dirname "$${BABYSEG_MAKEFILE\# }")" && 

help:
	@echo 'make setup   install everything into .venv: Python packages, the babyseg command, Nextflow'
	@echo 'make demo    make a cohort of synthetic children and run the whole pipeline on it'
	@echo 'make test    run every test'
	@echo 'make lint    check style, types, import layers and the Nextflow code'
	@echo 'make bench   measure the speed, memory and accuracy figures that the README states'

setup:
	@$(run)scripts/setup

demo: setup
	@$(run)scripts/demo

test: setup
	@$(run)scripts/test

lint: setup
	@$(run)scripts/lint

bench: setup
	@$(run)scripts/bench
