"""What names of images stand for, whatever characters they and their folders have."""

import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from image_outcomes import outcome
from PIL import Image

from microlith.imaging.errors import InputError, listed, printable
from microlith.imaging.files import names
from microlith.imaging.files.names import has_magic, matches, split

FLAT = (np.arange(20) % 3).reshape(4, 5).astype(np.uint8)
FOLDERS = ["run [1] 12:30", "a*b?c", "x.h5:", "[0-9]", "gr\udcf6sse", "üñ ∂", "a'b\"c", "%s%n", "-"]


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_with_characters_that_mean_something_in_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for i in (1, 2):
        Image.fromarray(FLAT).save(folder / f"s{i}.png")
    with h5py.File(os.fsencode(folder / "v.h5"), "w") as file:
        file["image"] = FLAT
    np.save(folder / "a.npy", FLAT)
    literal = {"folder": str(folder)}
    np.testing.assert_array_equal(outcome(folder / "s*.png", **literal)[0], np.stack([FLAT] * 2))
    np.testing.assert_array_equal(outcome(folder / "s[12].png", **literal)[0], np.stack([FLAT] * 2))
    for file in ("v.h5:/image", "v.h5", "a.npy", "s1.png"):
        np.testing.assert_array_equal(outcome(folder / file, **literal)[0], FLAT)
    np.testing.assert_array_equal(outcome(folder)[0], np.stack([FLAT] * 2))
    message = outcome(folder / "nothing*.png", **literal)[1]
    assert "no file matches this pattern" in message
    assert message.isprintable()


def test_arrays_in_files() -> None:
    assert split("/a:b/file.h5:/image") == (Path("/a:b/file.h5"), "/image")
    assert split("/a.h5:/x/file.VTI:/cells/labels") == (Path("/a.h5:/x/file.VTI"), "/cells/labels")
    assert split("/a:b/file.tif") == (Path("/a:b/file.tif"), None)


def test_patterns(tmp_path: Path) -> None:
    for name in ("a1.tif", "a2.tif", "b.tif", ".hidden.tif", "deep/down/a3.tif", "deep/.git/a4.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)

    def found(pattern: str) -> list[str]:
        return [str(path.relative_to(tmp_path)) for path in matches(f"{tmp_path}/{pattern}")]

    assert found("a?.tif") == ["a1.tif", "a2.tif"]
    assert found("[!a]*.tif") == ["b.tif"]
    assert found("*.tif") == ["a1.tif", "a2.tif", "b.tif"]
    assert found("**/a*.tif") == ["a1.tif", "a2.tif", "deep/down/a3.tif"]
    assert found("d*/**") == ["deep/down/a3.tif"]
    assert found("*/*/a3.tif") == ["deep/down/a3.tif"]
    assert found("none/*.tif") == []


def test_a_literal_folder_ends_where_it_does(tmp_path: Path) -> None:
    assert not has_magic("/run [1]/a.tif", "/run [1]")
    assert has_magic("/run [1]/a*.tif", "/run [1]")
    assert has_magic("/run [1]/a.tif", "/run")
    assert has_magic("/run [1]/a.tif")


@pytest.mark.parametrize("pattern", ["/**", "/proc/**/*", "/**/nothing.tif", "/*/*/*/*/*/*/*"])
def test_patterns_that_never_end(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MOST_ENTRIES", 2000)
    with pytest.raises(InputError, match=r"this pattern looks through more than 2,000 files and folders; narrow it"):
        matches(pattern)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    assert "a.tif: expected a file, got a pipe" in outcome(tmp_path / "a.tif")[1]
    (tmp_path / "b.npy").symlink_to("/dev/zero")
    assert "b.npy: expected a file, got a device" in outcome(tmp_path / "b.npy")[1]
    (tmp_path / "s").mkdir()
    os.mkfifo(tmp_path / "s/1.tif")
    Image.fromarray(FLAT).save(tmp_path / "s/2.tif")
    assert "1.tif: expected a file, got a pipe" in outcome(tmp_path / "s")[1]
    (tmp_path / "loop.tif").symlink_to("loop.tif")
    assert outcome(tmp_path / "loop.tif")[1]
    # By the release of Python
    assert re.search("can't be read|there is no such file", outcome(tmp_path / ("x" * 300 + ".tif"))[1])
    assert "a\\x00b.tif" in outcome(f"{tmp_path}/a\0b.tif")[1]


def test_messages_quote_a_line_at_most() -> None:
    assert printable("a\x1b[31m\nb\tc") == "a\\x1b[31m b c"
    assert printable("gr\udcf6sse\u202e") == "gr\\xf6sse\\u202e"
    assert len(printable("x" * 10**6)) == 120
    assert printable("x" * 10**6).startswith("xxx")
    assert len(str(InputError("y" * 10**7))) == 2000
    assert str(InputError("one\r\nline")) == "one  line"
    assert listed(range(3)) == "0, 1, 2"
    assert listed(range(100), 3) == "0, 1, 2, ... (100 in all)"
