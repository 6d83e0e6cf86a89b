"""Makes the pictures in this folder from the cases.

    runtime/run python3 docs/images/make_pictures.py [NAME...]

Without names all but aged-anode-3d-full.png, whose case takes some minutes on two ranks. ageing.png is
ways-1.png of `make ageing`, 1100 pixels wide, and depth-of-discharge.png rich.png of `make depth-of-discharge`.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
CASES = HERE.parents[1] / "cases"
MOST = 1700, 1200  # pixels across and down
COLOURS = 256  # of the palette, which makes files a third as large
SECOND = 1.45  # width of a second picture of another form per width of the first
ALIKE = 0.1  # difference of forms, width over height

# Picture -> case file or several, the pictures of its results that stand side by side, ranks
PICTURES = {
    "slab": ("slab/case.toml", ["curves"], 1),
    "fit": ("slab/case.toml", ["fit"], 1),
    "aged-anode": ("aged-anode-2d/case.toml", ["snapshot-10s", "curves"], 1),
    "aged-anode-particles": ("aged-anode-2d/case.toml", ["particles"], 1),
    "lithiation": ("lithiation/case.toml", ["snapshot-200s"], 1),
    # after cases/fibres/make_images.py
    "fibres": ("fibres/network.toml fibres/pulverised.toml fibres/powder.toml", ["snapshot-36000s"], 1),
    "framework": ("framework/open.toml", ["snapshot-0.003s"], 1),  # after cases/framework/make_image.py
    "framework-solid": ("framework/solid.toml", ["snapshot-5s"], 1),
    "aged-anode-3d": ("aged-anode-3d/case.toml", ["snapshot-10s"], 2),
    "aged-anode-3d-particles-distance": ("aged-anode-3d/case.toml", ["particles-distance"], 2),
    "aged-anode-3d-full": ("aged-anode-3d/full.toml", ["snapshot-10s"], 2),
}
# Picture -> what makes its results instead of `run`
COMMANDS = {
    "fit": ["fit", f"--data={CASES / 'slab/measured.csv'}", "--vary=phases.slab.diffusivity=1e-15 .. 1e-12 m^2/s"],
}
LONG = ("aged-anode-3d-full",)


def main(names: list[str]) -> None:
    """Makes the pictures named."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in names or [name for name in PICTURES if name not in LONG]:
            cases, parts, ranks = PICTURES[name]
            command = COMMANDS.get(name, ["run"])
            folders = [results(case, command, Path(scratch), ranks) for case in cases.split()]
            files = [folder / f"{part}.png" for folder in folders for part in parts]
            picture = beside([Image.open(file).convert("RGB") for file in files])
            picture.thumbnail(MOST, Image.Resampling.LANCZOS)
            picture.quantize(COLOURS, dither=Image.Dither.NONE).save(HERE / f"{name}.png", optimize=True)
            print(HERE / f"{name}.png", picture.size)


def results(case: str, command: list[str], scratch: Path, ranks: int) -> Path:
    """The folder with the results of a case, which is run if they are not there yet."""
    folder = scratch / f"{case.replace('/', '-')}-{command[0]}"
    if not folder.exists():
        run = ["microlith", *command, str(CASES / case), "-o", str(folder)]
        subprocess.run(run if ranks == 1 else ["mpirun", "-n", str(ranks), *run], check=True)
    return folder


def beside(parts: list[Image.Image]) -> Image.Image:
    """A picture, and others at its side in the middle of its height: as wide if they have its form, or wide ones."""
    first, shape = parts[0], parts[0].width / parts[0].height
    widths = [
        first.width if abs(part.width / part.height / shape - 1) < ALIKE else round(SECOND * first.width)
        for part in parts
    ]
    parts = [part.resize((w, round(part.height * w / part.width))) for part, w in zip(parts, widths, strict=True)]
    height = max(part.height for part in parts)
    page = Image.new("RGB", (sum(part.width for part in parts), height), "white")
    left = 0
    for part in parts:
        page.paste(part, (left, (height - part.height) // 2))
        left += part.width
    return page


if __name__ == "__main__":
    main(sys.argv[1:])
