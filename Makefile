# All targets set up what is missing first (see runtime/run).
.PHONY: demo test verify

demo:
	runtime/run microlith run cases/aged-anode-2d/case.toml --force
	@echo
	@echo 'The curves are in results/aged-anode-2d/curves.csv, the pictures are:'
	@find results/aged-anode-2d -name '*.png' | sort | sed 's/^/  /'

test:
	runtime/test

# The verification tests, and docs/verification.md from what they measure
verify:
	runtime/run python3 tests/verification/verification_page.py
