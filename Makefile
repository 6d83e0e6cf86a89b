# All targets set up what is missing first (see runtime/run).
.PHONY: ageing demo depth-of-discharge docs fibres framework test verify

demo:
	runtime/run microlith run cases/aged-anode-2d/case.toml --force
	@echo
	@echo 'The curves are in results/aged-anode-2d/curves.csv, the pictures are:'
	@find results/aged-anode-2d -name '*.png' | sort | sed 's/^/  /'

# Four states of an anode, from their tomograms to what ageing changes; see cases/ageing/README.md
ageing:
	runtime/run python3 cases/ageing/make_images.py
	runtime/run microlith -q analyze cases/ageing/pristine.toml -o results/ageing/pristine --force
	runtime/run microlith -q analyze cases/ageing/3-cycles.toml -o results/ageing/3-cycles --force
	runtime/run microlith -q analyze cases/ageing/100-cycles.toml -o results/ageing/100-cycles --force
	runtime/run microlith -q analyze cases/ageing/300-cycles.toml -o results/ageing/300-cycles --force
	runtime/run microlith -q compare results/ageing/pristine results/ageing/3-cycles results/ageing/100-cycles \
	    results/ageing/300-cycles -o results/ageing/comparison --force
	runtime/run python3 cases/ageing/make_grey.py
	runtime/run microlith -q segment cases/ageing/pristine-segment.toml -o results/ageing/pristine-labels --force
	runtime/run microlith -q segment cases/ageing/300-cycles-segment.toml -o results/ageing/300-cycles-labels --force
	runtime/run microlith -q analyze cases/ageing/pristine-labels.toml -o results/ageing/pristine-segmented --force
	runtime/run microlith -q analyze cases/ageing/300-cycles-labels.toml -o results/ageing/300-cycles-segmented --force
	runtime/run microlith -q run cases/ageing/pristine-labels.toml -o results/ageing/pristine-solved --force
	runtime/run microlith -q run cases/ageing/300-cycles-labels.toml -o results/ageing/300-cycles-solved --force
	runtime/run microlith -q compare pristine=results/ageing/pristine-segmented pristine=results/ageing/pristine-solved \
	    300-cycles=results/ageing/300-cycles-segmented 300-cycles=results/ageing/300-cycles-solved \
	    -o results/ageing/comparison-from-grey --force
	@echo 'What changed: results/ageing/comparison/comparison.html, and comparison-from-grey beside it'

# Silicon charged to 70, 80, 90 and 100 % and discharged again; see cases/depth-of-discharge/README.md
depth-of-discharge:
	runtime/run python3 cases/depth-of-discharge/make_image.py
	runtime/run microlith -q sweep cases/depth-of-discharge/case.toml -o results/depth-of-discharge --force
	runtime/run python3 cases/depth-of-discharge/rich.py results/depth-of-discharge
	@echo 'Where silicon is lithium-rich: results/depth-of-discharge/rich.png and rich.csv; curves: report.html there'

# Silicon fibres as a network and pulverised, and compact powder, in sulfide electrolyte; see cases/fibres/README.md
fibres:
	runtime/run python3 cases/fibres/make_images.py
	runtime/run microlith -q analyze cases/fibres/network.toml -o results/fibres/network-measured --force
	runtime/run microlith -q analyze cases/fibres/pulverised.toml -o results/fibres/pulverised-measured --force
	runtime/run microlith -q analyze cases/fibres/powder.toml -o results/fibres/powder-measured --force
	runtime/run microlith -q run cases/fibres/network.toml -o results/fibres/network --force
	runtime/run microlith -q run cases/fibres/pulverised.toml -o results/fibres/pulverised --force
	runtime/run microlith -q run cases/fibres/powder.toml -o results/fibres/powder --force
	runtime/run microlith -q compare network=results/fibres/network-measured network=results/fibres/network \
	    pulverised=results/fibres/pulverised-measured pulverised=results/fibres/pulverised \
	    powder=results/fibres/powder-measured powder=results/fibres/powder -o results/fibres/comparison --force
	@echo 'What differs: results/fibres/comparison/comparison.html'

# A silicon particle that has become a framework, measured, and how lithium leaves it; see cases/framework/README.md
framework:
	runtime/run python3 cases/framework/make_image.py
	runtime/run microlith -q analyze cases/framework/interior.toml -o results/framework/interior --force
	runtime/run microlith -q run cases/framework/open.toml -o results/framework/open --force
	runtime/run microlith -q run cases/framework/solid.toml -o results/framework/solid --force
	@echo 'Measured: results/framework/interior; curves and pictures: results/framework/open and solid'

test:
	runtime/test

# The verification tests, and docs/verification.md from what they measure
verify:
	runtime/run python3 tests/verification/verification_page.py

# The site, with its examples run; index.html is to be opened in a browser
docs:
	runtime/run python3 -m sphinx -b html -j auto -W --keep-going -q -d docs/_build/doctrees docs docs/_build/html
	@echo 'The site: docs/_build/html/index.html'
