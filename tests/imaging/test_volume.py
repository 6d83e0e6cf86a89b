"""Images in windows: on any number of ranks what the serial reader gives, and no more of it than is asked for."""

import gzip
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.formats import slices as read_slices, stored
from microlith.imaging.formats.stored import Window
from microlith.imaging.image.labels import label_image
from microlith.imaging.image.load import label_volume, volume_of
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.options import ImageSource, PhaseLabels, RawLayout
from microlith.imaging.parallel.collective import on_root
from microlith.imaging.readers.open import open_image

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
SHAPE = (13, 17, 19)
STACK = np.kron(np.random.default_rng(4).integers(0, 3, (5, 6, 7)), np.ones((3, 3, 3), int))[:13, :17, :19]
STACK = STACK.astype(np.uint8)
COLOURS = np.array([(255, 16, 1), (1, 200, 3), (9, 9, 9)], np.uint8)
PHASES = [PhaseLabels(name, (label,)) for name, label in (("c", 2), ("a", 0), ("b", 1))]
COLOUR_PHASES = [PhaseLabels(name, (tuple(COLOURS[label].tolist()),)) for name, label in (("c", 2), ("a", 0), ("b", 1))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder for all ranks."""
    return COMM.bcast(tmp_path)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a few layers, as those of large images are."""
    monkeypatch.setattr(stored, "VALUES_AT_ONCE", 2 * SHAPE[1] * SHAPE[2])


def written(folder: Path, write: Callable[[Path], object], name: str) -> str:
    on_root(COMM, lambda: write(folder / name))
    return str(folder / name)


def windows(shape: tuple[int, ...]) -> list[Window]:
    """A window for this rank in each of several rounds: all, nothing, one voxel, anything."""
    rng = np.random.default_rng(COMM.rank)
    whole = tuple((0, n) for n in shape)
    empty = ((1, 1), *whole[1:])
    rounds: list[Window] = [whole if COMM.rank == 0 else empty, empty if COMM.rank == 0 else whole]
    rounds.append(tuple((n - 1, n) for n in shape))
    for _ in range(4):
        ends = [np.sort(rng.integers(0, n + 1, 2)) for n in shape]
        rounds.append(tuple((int(a), int(b)) for a, b in ends))
    return rounds


def assert_same(source: ImageSource, phases: list[PhaseLabels]) -> LabelVolume:
    image = label_image(source, phases)
    volume = label_volume(source, phases, COMM)
    assert (volume.shape, volume.names, volume.voxel_size) == (image.phase.shape, image.names, image.voxel_size)
    assert volume.stored_shape == image.stored_shape
    assert volume.counts == tuple(np.bincount(image.phase.ravel(), minlength=3).tolist())
    assert volume.extent == image.extent
    for window in windows(volume.shape):
        portion = volume.read(window)
        assert portion.window == window
        assert portion.phase.dtype == np.uint8
        np.testing.assert_array_equal(portion.phase, image.phase[tuple(slice(*ends) for ends in window)])
    return volume


def write_slices(folder: Path, values: np.ndarray, suffix: str = "png") -> None:
    folder.mkdir()
    for i, picture in enumerate(values):
        Image.fromarray(picture).save(folder / f"slice{i + 8}.{suffix}")


def write_palette_slices(folder: Path) -> None:
    folder.mkdir()
    for i, picture in enumerate(STACK):
        image = Image.fromarray(picture)
        image.putpalette(COLOURS.tobytes())
        image.save(folder / f"{i}.png")


def write_mixed_slices(folder: Path) -> None:
    """Palettes in two orders, and colours."""
    folder.mkdir()
    for i, picture in enumerate(STACK):
        order = [0, 1, 2] if i % 3 else [2, 0, 1]
        image = Image.fromarray(np.argsort(order).astype(np.uint8)[picture])
        image.putpalette(COLOURS[order].tobytes())
        (image if i % 2 else image.convert("RGB")).save(folder / f"{i}.png")


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("a/labels", data=STACK, chunks=(4, 8, 8), compression="gzip")


def write_pages(path: Path) -> None:
    with tifffile.TiffWriter(path) as file:
        for page in STACK:
            file.write(page, metadata=None, contiguous=False, compression="packbits")


def write_npy(path: Path, values: np.ndarray = STACK) -> None:
    np.save(path, values)


def write_nrrd(path: Path, values: np.ndarray = STACK) -> None:
    sizes = " ".join(map(str, SHAPE[::-1]))
    header = f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: {sizes}\nencoding: gzip\n\n"
    path.write_bytes(header.encode() + gzip.compress(values.tobytes()))


def write_vti(path: Path) -> None:
    import pyvista

    grid = pyvista.ImageData(dimensions=[n + 1 for n in SHAPE[::-1]])
    grid.cell_data["labels"] = STACK.ravel()
    grid.save(path)


def write_mha(path: Path) -> None:
    import SimpleITK

    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(STACK), str(path))


def tiff(**options: object) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, STACK, photometric="minisblack", **options)


# name -> how to write it, and whether windows come from the file
FORMATS: dict[str, tuple[str, Callable[[Path], object], bool]] = {
    "TIFF": ("a.tif", tiff(), True),
    "big-endian TIFF": ("a.tif", lambda p: tifffile.imwrite(p, STACK.astype(">u2"), byteorder=">"), True),
    "ImageJ": ("a.tif", lambda p: tifffile.imwrite(p, STACK, imagej=True, metadata={"axes": "ZYX"}), True),
    "deflated TIFF": ("a.tif", tiff(compression="deflate"), True),
    "TIFF page by page": ("a.tif", write_pages, True),
    "1-bit TIFF": ("a.tif", lambda p: tifffile.imwrite(p, STACK > 0, photometric="minisblack"), True),
    "OME": ("a.ome.tif", tiff(compression="lzw", metadata={"axes": "ZYX"}), True),
    "NPY": ("a.npy", lambda p: np.save(p, STACK), True),
    "NPY, first axis fastest": ("a.npy", lambda p: np.save(p, np.asfortranarray(STACK)), True),
    "NPY of axes to spare": ("a.npy", lambda p: np.save(p, STACK[None, ..., None].astype(">i4")), True),
    "NPY of floats": ("a.npy", lambda p: np.save(p, STACK.astype(float)), True),
    "raw": ("a.raw", lambda p: p.write_bytes(bytes(5) + STACK.astype("<i2").tobytes()), True),
    "HDF5": ("a.h5", write_hdf5, True),
    "TIFF of PNG pages": ("a.tif", tiff(compression="png"), True),
    "PNG slices": ("slices", lambda p: write_slices(p, STACK), True),
    "TIFF slices": ("slices", lambda p: write_slices(p, STACK, "tif"), True),
    "NRRD": ("a.nrrd", write_nrrd, False),
    "MHA": ("a.mha", write_mha, True),
    "VTI": ("a.vti", write_vti, False),
}


@pytest.mark.parametrize("options", [{}, {"crop": {"z": (2, 13), "y": (1, 16), "x": (3, 10)}, "coarsen": 3}], ids=str)
@pytest.mark.parametrize("kind", FORMATS)
def test_windows_of_every_format(folder: Path, kind: str, options: dict[str, object]) -> None:
    name, write, sliced = FORMATS[kind]
    path = written(folder, write, name)
    raw = RawLayout(SHAPE, "<i2", 5) if kind == "raw" else None
    assert open_image(ImageSource(path, raw=raw)).sliced is sliced
    phases = [PhaseLabels("c", (2, 9)), *PHASES[1:]]
    if kind == "1-bit TIFF":
        phases = [PhaseLabels("b", (1,)), PhaseLabels("a", (0,))]
        source = ImageSource(path, (1e-9,), **options)
        image, volume = label_image(source, phases), label_volume(source, phases, COMM)
        np.testing.assert_array_equal(volume.read(tuple((0, n) for n in volume.shape)).phase, image.phase)
        return
    assert_same(ImageSource(path, (3e-9, 2e-9, 1e-9), raw=raw, **options), phases)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.tif", lambda p: tifffile.imwrite(p, COLOURS[STACK], photometric="rgb")),
        ("a.tif", lambda p: tifffile.imwrite(p, COLOURS[STACK], photometric="rgb", compression="deflate")),
        (
            "a.tif",
            lambda p: tifffile.imwrite(
                p, np.moveaxis(COLOURS[STACK], -1, 1), photometric="rgb", planarconfig="separate"
            ),
        ),
        ("a.tif", lambda p: tifffile.imwrite(p, np.pad(COLOURS[STACK], [(0, 0)] * 3 + [(0, 1)]), photometric="rgb")),
        ("slices", lambda p: write_slices(p, COLOURS[STACK], "bmp")),
        ("slices", write_palette_slices),
        ("slices", write_mixed_slices),
    ],
    ids=["rgb", "rgb deflated", "planar", "rgba", "rgb slices", "palette slices", "mixed slices"],
)
def test_windows_of_colours(folder: Path, name: str, write: Callable[[Path], object]) -> None:
    source = ImageSource(written(folder, write, name), (1e-9,), crop={"z": (1, 12)}, coarsen=2)
    assert_same(source, COLOUR_PHASES)


def test_colours_that_are_greys_in_the_whole_image(folder: Path) -> None:
    """Greys answer to numbers; where a voxel outside the crop has a colour, they don't."""
    samples = np.repeat((STACK * 100)[..., None], 3, axis=-1)
    path = written(folder, lambda p: tifffile.imwrite(p, samples, photometric="rgb", compression="lzw"), "grey.tif")
    phases = [PhaseLabels(p.name, tuple(100 * v for v in p.labels)) for p in PHASES]
    assert_same(ImageSource(path, (1e-9,)), phases)
    samples[-1, 0, 0] = (1, 2, 3)
    path = written(folder, lambda p: tifffile.imwrite(p, samples, photometric="rgb", compression="lzw"), "colour.tif")
    assert_same_refusal(ImageSource(path, (1e-9,), crop={"z": (0, 12)}), phases, "expected a colour")


def test_flat_images(folder: Path) -> None:
    path = written(folder, lambda p: np.save(p, STACK), "a.npy")
    assert assert_same(ImageSource(path, (1e-9,), crop={"z": (5, 6)}), PHASES).dim == 2
    assert assert_same(ImageSource(path, (1e-9,), crop={"z": (5, 6), "x": (2, 18)}, coarsen=2), PHASES).dim == 2
    path = written(folder, lambda p: np.save(p, STACK[4]), "flat.npy")
    assert_same(ImageSource(path, (1e-9,), crop={"y": (1, 17)}, coarsen=2), PHASES)
    path = written(folder, lambda p: Image.fromarray(STACK[4]).save(p), "flat.png")
    assert_same(ImageSource(path, (1e-9,), crop={"y": (1, 17)}, coarsen=2), PHASES)


def test_fewer_layers_than_ranks(folder: Path) -> None:
    path = written(folder, lambda p: np.save(p, STACK[2:4]), "a.npy")
    assert_same(ImageSource(path, (1e-9,)), PHASES)


def test_image_that_rank_0_holds() -> None:
    from label_images import label_image as made

    image = made(STACK, (1e-9,) * 3) if COMM.rank == 0 else None
    volume = volume_of(image, COMM)
    assert volume.counts == tuple(np.bincount(STACK.ravel()).tolist())
    for window in windows(SHAPE):
        np.testing.assert_array_equal(volume.read(window).phase, STACK[tuple(slice(*ends) for ends in window)])


# --- bad input ---


def assert_same_refusal(source: ImageSource, phases: list[PhaseLabels], words: str) -> None:
    with pytest.raises(InputError, match=words) as serial:
        label_image(source, phases)
    with pytest.raises(InputError) as parallel:
        label_volume(source, phases, COMM)
    assert str(parallel.value) == str(serial.value)


@pytest.mark.parametrize("sliced", [True, False])
@pytest.mark.parametrize(
    ("phases", "options", "words"),
    [
        (PHASES[:2], {}, r"no phase claims 1 \(.* %\)"),
        (
            [*PHASES, PhaseLabels("d", (7,))],
            {},
            r"\[phases.d\] label: no pixel of .* has it, the labels there are 0 \(",
        ),
        ([*PHASES, PhaseLabels("d", (1,))], {}, r"\[phases.d\] label: 1 is claimed by b"),
        (PHASES, {"crop": {"x": (0, 20)}}, r"crop.x: expected 0 <= first < last <= 19"),
        (PHASES, {"coarsen": 14}, r"coarsen: expected 1 to 13"),
        (PHASES, {"coarsen": 13}, r"coarsen: blocks of 13 leave .* one voxel thick along x and y and z, too thin"),
        (
            [*PHASES[:2], PhaseLabels("b", (1,)), PhaseLabels("lone", (5,))],
            {"coarsen": 2},
            r"coarsen: the vote in blocks of 2 leaves no pixel of lone in",
        ),
        (PHASES, {"crop": {"y": (3, 4)}}, r"crop: .* one voxel thick along y"),
        (PHASES, {"voxel_size": None}, r"voxel_size: missing"),
        ([PhaseLabels(f"p{i}", (i,)) for i in range(256)], {}, "at most 255 phases, got 256"),
    ],
)
def test_refusals_are_those_of_the_serial_reader(
    folder: Path, phases: list[PhaseLabels], options: dict[str, object], words: str, sliced: bool
) -> None:
    values = STACK.copy()
    if len(phases) == 4 and phases[3].name == "lone":
        values[4, 4, 4] = 5
    write = partial(write_npy if sliced else write_nrrd, values=values)
    path = written(folder, write, "a.npy" if sliced else "a.nrrd")
    assert_same_refusal(ImageSource(path, **{"voxel_size": (1e-9,), **options}), phases, words)


def test_micrographs_and_numbers_that_are_no_labels(folder: Path) -> None:
    """Also where no rank alone sees more than 64 values, and where the first wrong number is another rank's."""
    values = np.arange(66).reshape(6, 11, 1).repeat(3, axis=2)
    path = written(folder, lambda p: np.save(p, values), "a.npy")
    assert_same_refusal(ImageSource(path, (1e-9,)), PHASES, "as in a micrograph; segment it first")
    numbers = np.zeros((6, 2, 2))
    numbers[3], numbers[5] = 0.5, 0.25
    path = written(folder, lambda p: np.save(p, numbers), "b.npy")
    assert_same_refusal(ImageSource(path, (1e-9,)), PHASES, r"whole numbers as labels, got 0\.5")
    assert_same_refusal(ImageSource(path, (1e-9,), crop={"z": (0, 2)}), PHASES, r"whole numbers as labels, got 0\.5")


def test_shares_are_in_the_order_of_labels(folder: Path) -> None:
    path = written(folder, lambda p: np.save(p, np.repeat([7, 5, 3], [2000, 6000, 4000]).reshape(12, 50, 20)), "a.npy")
    phases = [PhaseLabels("a", (7,))]
    assert_same_refusal(ImageSource(path, (1e-9,)), phases, r"no phase claims 3 \(33.3 %\), 5 \(50 %\)")


def test_alpha_that_varies_from_page_to_page(folder: Path) -> None:
    samples = np.concatenate([COLOURS[STACK], np.zeros((*SHAPE, 1), np.uint8)], axis=-1)
    samples[-1, ..., 3] = 9
    path = written(folder, lambda p: tifffile.imwrite(p, samples, photometric="rgb", compression="deflate"), "a.tif")
    assert_same_refusal(ImageSource(path, (1e-9,)), COLOUR_PHASES, "expected a constant alpha channel")


def test_files_that_cannot_be_read(folder: Path) -> None:
    path = written(folder, lambda p: p.write_bytes(b"no image"), "a.tif")
    assert_same_refusal(ImageSource(path, (1e-9,)), PHASES, r"a\.tif: can't be read as TIFF")
    assert_same_refusal(ImageSource(f"{folder}/none.tif", (1e-9,)), PHASES, "no such file")

    def two_series(path: Path) -> None:
        with tifffile.TiffWriter(path) as file:
            file.write(STACK[0])
            file.write(STACK[0, :9])

    path = written(folder, two_series, "b.tif")
    assert_same_refusal(ImageSource(path, (1e-9,)), PHASES, "expected one image or one stack, got 2 series")
    path = written(folder, lambda p: [write_slices(p, STACK), Image.fromarray(STACK[0, :5]).save(p / "x.png")], "s")
    assert_same_refusal(ImageSource(path, (1e-9,)), PHASES, r"holds x\.png beside files named like slice8\.png")


def test_file_that_is_gone_for_one_rank(folder: Path) -> None:
    """All ranks hear of it, also those with an empty window."""
    path = written(folder, lambda p: write_slices(p, STACK), "s")
    volume = label_volume(ImageSource(path, (1e-9,)), PHASES, COMM)
    on_root(COMM, lambda: (folder / "s" / "slice20.png").write_bytes(b"damaged"))
    last = ((12, 13), (0, 17), (0, 19))
    with pytest.raises(InputError, match=r"slice20\.png: can't be read as PNG"):
        volume.read(last if COMM.rank == COMM.size - 1 else ((0, 0),) * 3)
    volume.read(((0, 12), (0, 17), (0, 19)))


def test_window_outside_the_image(folder: Path) -> None:
    path = written(folder, lambda p: np.save(p, STACK), "a.npy")
    for volume in (
        label_volume(ImageSource(path, (1e-9,)), PHASES, COMM),
        volume_of(label_image(ImageSource(path, (1e-9,)), PHASES), COMM),
    ):
        with pytest.raises((ValueError, RuntimeError), match="is not in an image of shape"):
            volume.read(((0, 14), (0, 1), (0, 1)) if COMM.rank == COMM.size - 1 else ((0, 1),) * 3)


# --- no more than is asked for ---


@pytest.mark.parametrize("kind", ["TIFF", "deflated TIFF", "NPY", "NPY of floats", "raw", "HDF5", "PNG slices"])
def test_memory_is_that_of_the_window(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of 2 MB, read in pieces of 262144 values; the image takes 17 MB as phases, 34 as stored in two bytes."""
    monkeypatch.setattr(stored, "VALUES_AT_ONCE", 1 << 18)
    shape = (64, 512, 512)
    big = np.zeros(shape, np.float32 if kind == "NPY of floats" else np.uint16)
    big[:, 100:, 50:], big[32:, :, 200:] = 1, 2

    def write(path: Path) -> object:
        match kind:
            case "TIFF" | "deflated TIFF":
                return tifffile.imwrite(path, big, compression="deflate" if kind != "TIFF" else None)
            case "NPY" | "NPY of floats":
                return np.save(path, big)
            case "raw":
                return path.write_bytes(big.tobytes())
            case "HDF5":
                with h5py.File(path, "w") as file:
                    return file.create_dataset("a", data=big).shape
        return write_slices(path, big)

    path = written(folder, write, FORMATS[kind][0])
    raw = RawLayout(shape, "<u2") if kind == "raw" else None

    def peak(coarsen: int) -> int:
        volume = label_volume(ImageSource(path, (1e-9,), raw=raw, coarsen=coarsen), PHASES, COMM)
        assert sum(volume.counts) == np.prod(shape) // coarsen**3
        n = 8 // coarsen
        volume.read(((n, 2 * n), (0, 512 // coarsen), (0, 512 // coarsen)))
        return tracemalloc.get_traced_memory()[1]

    for coarsen in (1, 2):
        tracemalloc.start()
        try:
            highest = peak(coarsen)
        finally:
            tracemalloc.stop()
        assert highest < 12e6, f"{highest / 1e6:.1f} MB"


def test_only_the_slices_of_the_window_are_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(folder, lambda p: write_slices(p, STACK), "s")
    volume = label_volume(ImageSource(path, (1e-9,), crop={"z": (1, 13)}, coarsen=2), PHASES, COMM)
    decoded = []
    plain = read_slices._slice
    monkeypatch.setattr(read_slices, "_slice", lambda path, *rest: decoded.append(path.stem) or plain(path, *rest))
    volume.read(((2, 3), (0, 2), (0, 2)))
    assert decoded == ["slice13", "slice14"]
