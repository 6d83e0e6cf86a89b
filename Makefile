# Both targets set up what is missing first (see runtime/run).
.PHONY: demo test

demo:
	runtime/run microlith run cases/aged-anode-2d/case.toml --force
	@echo
	@echo 'The curves are in results/aged-anode-2d/curves.csv, the pictures are:'
	@find results/aged-anode-2d -name '*.png' | sort | sed 's/^/  /'

test:
	runtime/test
