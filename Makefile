# All targets set up what is missing first (see runtime/run).
.PHONY: demo docs test verify

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

# The site, with its examples run; index.html is to be opened in a browser
docs:
	runtime/run python3 -m sphinx -b html -j auto -W --keep-going -q -d docs/_build/doctrees docs docs/_build/html
	@echo 'The site: docs/_build/html/index.html'
