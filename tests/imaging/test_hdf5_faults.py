"""HDF5 files that crashed the library, or of which a part was taken for zeros."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from image_outcomes import assert_never_filled_in, outcome

from microlith.imaging.formats.stored import StoredImage
from microlith.imaging.options import ImageSource
from microlith.imaging.readers.open import open_image

STACK = np.random.default_rng(5).integers(0, 3, (6, 8, 10), np.uint8)


def opened(path: Path | str) -> StoredImage:
    return open_image(ImageSource(str(path)))


def write(path: Path, name: str = "image", values: np.ndarray = STACK, **options: Any) -> Path:
    with h5py.File(path, "w", **options.pop("file", {})) as file:
        file.create_dataset(name, data=values, **options)
    return path


@pytest.mark.parametrize("dtype", ["bool", "u1", "i2", ">i4", "u8", "f4", ">f8"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"file": {"userblock_size": 512}},
        {"file": {"libver": "latest"}},
        {"chunks": (4, 3, 7), "compression": "gzip"},
        {"chunks": (1, 8, 10), "shuffle": True, "fletcher32": True},
        {"chunks": (6, 8, 10), "compression": "lzf"},
    ],
    ids=str,
)
def test_layouts(tmp_path: Path, options: dict[str, Any], dtype: str) -> None:
    values = STACK.astype(dtype)
    path = write(tmp_path / "a.h5", values=values, **{k: dict(v) if k == "file" else v for k, v in options.items()})
    found, message = outcome(path)
    assert message == ""
    np.testing.assert_array_equal(found, values.astype(int))
    for step in (1, 2, 5, 6):
        window = np.concatenate(list(opened(path).layers(((1, 6), (0, 8), (2, 9)), step)))
        np.testing.assert_array_equal(window, values[1:6, :, 2:9])


@pytest.mark.parametrize("value", ["a word", [], [1.0, 2.0, 3.0, 4.0, 5.0], b"\xff\xfe", h5py.Empty("f4")], ids=str)
def test_attributes_that_are_no_lengths(tmp_path: Path, value: Any) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = STACK
        file["image"].attrs["element_size_um"] = value
    found = opened(tmp_path / "a.h5")
    assert found.voxel_size == (None,) * 3
    assert "the attribute element_size_um of /image is left aside" in found.warnings[0]
    np.testing.assert_array_equal(outcome(tmp_path / "a.h5")[0], STACK)


def test_sizes_of_axes_of_length_one_go_with_them(tmp_path: Path) -> None:
    """The sizes of the others moved by an axis."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = STACK[None, ..., None]
        file["image"].attrs["element_size_um"] = [1, 0.04, 0.02, 0.0125, 1]
        file["short"] = STACK[None, ..., None]
        file["short"].attrs["element_size_um"] = [0.04, 0.02, 0.0125]
        file["flat"] = STACK[0]
        file["flat"].attrs["element_size_um"] = [0.04, 0.02, 0.0125]
    sizes = (40e-9, 20e-9, 12.5e-9)
    assert opened(f"{tmp_path}/a.h5:/image").voxel_size == pytest.approx(sizes)
    assert opened(f"{tmp_path}/a.h5:/short").voxel_size == pytest.approx(sizes)
    assert opened(f"{tmp_path}/a.h5:/flat").voxel_size == pytest.approx(sizes[1:])


def test_without_a_shape_or_without_values(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = h5py.Empty("u1")
        file.create_dataset("made", (4, 5), "u1")
        file.create_dataset("blocks", (4, 5), "u1", chunks=(2, 2))
        file.create_dataset("none", (0, 5), "u1")
        file["words"] = np.array([[b"a", b"b"]])
    assert "/image has no shape" in outcome(f"{tmp_path}/a.h5:/image")[1]
    assert "/made was made, but its values were never written" in outcome(f"{tmp_path}/a.h5:/made")[1]
    assert "/blocks was made, but its values were never written" in outcome(f"{tmp_path}/a.h5:/blocks")[1]
    assert "expected pixels, got an empty array" in outcome(f"{tmp_path}/a.h5:/none")[1]
    assert "expected whole numbers as labels" in outcome(f"{tmp_path}/a.h5:/words")[1]


def test_blocks_that_nobody_wrote_are_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("image", STACK.shape, "u1", chunks=(2, 8, 10), fillvalue=2)
        data[:2] = STACK[:2]
    assert opened(tmp_path / "a.h5").warnings == (
        f"[image] file: {tmp_path}/a.h5: 2 of the 3 blocks of /image were never written: their voxels count as 2",
    )


def test_compression_with_loss(tmp_path: Path) -> None:
    assert "compressed with loss (scale-offset" in outcome(write(tmp_path / "a.h5", scaleoffset=1))[1]
    np.testing.assert_array_equal(outcome(write(tmp_path / "b.h5", scaleoffset=0))[0], STACK)


def virtual(path: Path, *sources: tuple[str, str, int]) -> Path:
    layout = h5py.VirtualLayout(STACK.shape, "u1")
    for i, (file, name, layers) in enumerate(sources):
        layout[3 * i : 3 * i + layers] = h5py.VirtualSource(file, name, (layers, 8, 10))
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset("image", layout)
    return path


def test_virtual_datasets(tmp_path: Path) -> None:
    write(tmp_path / "x.h5", "part", STACK[:3])
    write(tmp_path / "y.h5", "part", STACK[3:])
    path = virtual(tmp_path / "a.h5", ("x.h5", "part", 3), ("y.h5", "part", 3))
    np.testing.assert_array_equal(outcome(path)[0], STACK)
    assert {file.name for file in opened(path).files} == {"a.h5", "x.h5", "y.h5"}
    (tmp_path / "y.h5").unlink()
    assert "takes values from" in outcome(path)[1]
    assert "y.h5, which is no file" in outcome(path)[1]
    write(tmp_path / "y.h5", "other", STACK[3:])
    assert "takes values from part of y.h5, which isn't there" in outcome(path)[1]
    assert "has sources for 240 of its 480 voxels only" in outcome(virtual(tmp_path / "b.h5", ("x.h5", "part", 3)))[1]


def test_virtual_datasets_on_themselves(tmp_path: Path) -> None:
    """The library crashes on them."""
    one = virtual(tmp_path / "a.h5", (".", "image", 6))
    assert "the virtual dataset /image leads to itself" in outcome(one)[1]
    virtual(tmp_path / "c.h5", ("b.h5", "image", 6))
    virtual(tmp_path / "b.h5", ("c.h5", "image", 6))
    assert "leads to itself" in outcome(tmp_path / "b.h5")[1]


def test_values_in_another_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", STACK.shape, "u1", external=[(str(tmp_path / "b.raw"), 0, STACK.size)])
    assert "keeps its values in another file" in outcome(tmp_path / "a.h5")[1]


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = h5py.ExternalLink("nowhere.h5", "/image")
        file["loop"] = h5py.SoftLink("/loop")
    for name in ("image", "loop"):
        message = outcome(f"{tmp_path}/a.h5:/{name}")[1]
        assert "can't be opened" in message or "there is no dataset" in message


def test_long_lists_are_cut(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i in range(100):
            file[f"image{i:03}"] = np.zeros((2, 2), np.uint8)
    message = outcome(tmp_path / "a.h5")[1]
    assert "... (100 in all)" in message
    assert len(message) < 500


def test_damage_is_survived(tmp_path: Path) -> None:
    """Neither this process nor the next question suffers from a crash of the one that reads."""
    path = write(tmp_path / "a.h5", chunks=(2, 4, 5), compression="gzip")
    assert_never_filled_in(path, STACK, ("can't be read as HDF5", "/image", "no array"), step=path.stat().st_size // 25)
    np.testing.assert_array_equal(outcome(path)[0], STACK)


def test_the_process_that_reads_ends_with_the_one_that_asks(tmp_path: Path) -> None:
    """Also where that one is killed and can't clean up."""
    write(tmp_path / "a.h5", chunks=(1, 2, 2), compression="gzip")
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom microlith.imaging.readers import hdf5\n"
        f"stored = hdf5.read_hdf5(Path({str(tmp_path / 'a.h5')!r}), None, 'w')\n"
        f"print(hdf5._process(Path({str(tmp_path / 'a.h5')!r}))._process.pid, flush=True)\ntime.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        reading = int(asking.stdout.readline())
        assert Path(f"/proc/{reading}").exists()
        asking.kill()
    for _ in range(200):
        if not Path(f"/proc/{reading}").exists():
            return
        time.sleep(0.05)
    pytest.fail("it is still there")


def test_nothing_of_the_working_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "h5py.py").write_text("raise SystemExit('run')")
    (tmp_path / "numpy.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(outcome(write(tmp_path / "a.h5"))[0], STACK)


def test_a_file_of_another_kind_of_name(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/gr\xf6sse"
    os.mkdir(folder)
    path = Path(os.fsdecode(folder)) / "a.h5"
    np.testing.assert_array_equal(outcome(write(path, chunks=(2, 4, 5)))[0], STACK)
    message = outcome(path.with_name("b.h5"))[1]
    assert "gr\\xf6sse" in message
    assert message.isprintable()
