"""PNG files as another library reads them."""

from types import SimpleNamespace

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from microlith.workflow.rendering.png import write_png


@pytest.mark.parametrize("codec", ["as it is", "not built", "not known"])
@pytest.mark.parametrize("title", ["Plain $x_", "µm, größer", "Ω → ∞"])
def test_another_library_reads_what_was_written(tmp_path, monkeypatch, title, codec):
    """Pixels of a part of a larger picture, texts in letters of any kind, and the resolution; with any imagecodecs."""
    if codec != "as it is":
        lacking = SimpleNamespace(available=False) if codec == "not built" else None
        monkeypatch.setattr(imagecodecs, "ISAL", lacking)
    whole = np.random.default_rng(3).integers(0, 256, (40, 61, 4), np.uint8)
    write_png(tmp_path / "a.png", whole[:, :, :3], {"Title": title, "Software": "microlith"}, 200)
    image = Image.open(tmp_path / "a.png")
    image.load()
    assert image.mode == "RGB"
    assert (np.asarray(image) == whole[:, :, :3]).all()
    assert (image.text["Title"], image.text["Software"]) == (title, "microlith")
    assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
