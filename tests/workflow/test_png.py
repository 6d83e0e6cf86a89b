"""PNG files as another library reads them."""

import numpy as np
import pytest
from PIL import Image

from microlith.workflow.rendering.png import write_png


@pytest.mark.parametrize("title", ["Plain $x_", "µm, größer", "Ω → ∞"])
def test_another_library_reads_what_was_written(tmp_path, title):
    """Pixels of a part of a larger picture, texts in letters of any kind, and the resolution."""
    whole = np.random.default_rng(3).integers(0, 256, (40, 61, 4), np.uint8)
    write_png(tmp_path / "a.png", whole[:, :, :3], {"Title": title, "Software": "microlith"}, 200)
    image = Image.open(tmp_path / "a.png")
    image.load()
    assert image.mode == "RGB"
    assert (np.asarray(image) == whole[:, :, :3]).all()
    assert (image.text["Title"], image.text["Software"]) == (title, "microlith")
    assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
