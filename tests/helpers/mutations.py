"""Image files of all formats, changed at random, and a process that reads them and is watched."""

import json
import os
import random
import re
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (6, 24, 32)
# No zeros, so that a run of them is what a reader filled in.
LABELS = np.random.default_rng(11).integers(1, 6, SHAPE).astype(np.uint8)
RUN = 48  # zeros in a row that no change of a few bits makes
LARGEST = 2 << 30  # bytes of memory that reading may take
EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
WORDS = ("0", "-1", "1", "99999", "2147483647", "4294967296", "99999999999999999999", "1e9", "nan", "%s%n", "", "x")


KINDS = ("cut", "cut", "flip", "flip", "bytes", "edge", "edge", "number", "nines", "gone", "twice", "more")


@dataclass(frozen=True)
class Seed:
    """A good file."""

    name: str  # of the file whose bytes are changed
    source: str  # what is opened, in the same folder
    values: np.ndarray
    data: bytes
    raw: dict[str, Any] | None = None


def seeds(folder: Path) -> list[Seed]:
    """One file of each format and of each of its forms, written into the folder; those beside it stay there."""
    found: list[Seed] = []

    def add(name: str, write: Callable[[Path], object], values: np.ndarray = LABELS, **more: Any) -> None:
        write(folder / name)
        changed = more.pop("changed", name)
        source = more.pop("source", name)
        found.append(Seed(changed, source, values, (folder / changed).read_bytes(), **more))

    _add_tiff(add)
    _add_pictures(add)
    _add_arrays(add)
    _add_hdf5(add)
    _add_headers(add)
    _add_vti(add)
    return found


def _add_tiff(add: Callable[..., None]) -> None:
    import tifffile

    def tiff(values: np.ndarray = LABELS, **options: Any) -> Callable[[Path], object]:
        return lambda path: tifffile.imwrite(path, values, **{"photometric": "minisblack", **options})

    add("plain.tif", tiff())
    add("bare.tif", tiff(metadata=None, byteorder=">"), LABELS)
    add("imagej.tif", lambda p: tifffile.imwrite(p, LABELS, imagej=True, metadata={"axes": "ZYX", "unit": "nm"}))
    add("ome.ome.tif", tiff(metadata={"axes": "ZYX"}))
    for kind in ("deflate", "lzw", "packbits", "zstd", "lzma"):
        add(f"{kind}.tif", tiff(compression=kind))
    add("tiles.tif", tiff(compression="deflate", tile=(16, 16), metadata=None))
    add("strips.tif", tiff(compression="lzw", rowsperstrip=5, predictor=True, bigtiff=True))
    add("png.tif", tiff(compression="png"))
    add("flat.tif", tiff(LABELS[0]), LABELS[0])
    palette = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)
    add("palette.tif", lambda p: tifffile.imwrite(p, LABELS[0], photometric="palette", colormap=palette), LABELS[0])


def _add_pictures(add: Callable[..., None]) -> None:
    import imagecodecs
    from PIL import Image

    flat = LABELS[0]
    picture = Image.fromarray(flat)
    add("grey.png", lambda p: picture.save(p), flat)
    add("grey.bmp", lambda p: picture.save(p), flat)
    coloured = picture.copy()
    coloured.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
    add("palette.png", lambda p: coloured.save(p), flat)
    add("palette.bmp", lambda p: coloured.save(p), flat)
    add("wide.png", lambda p: Image.fromarray(flat.astype(np.uint16) * 300).save(p), flat.astype(int) * 300)
    alpha = np.stack([flat.astype(np.uint16), np.full(flat.shape, 9, np.uint16)], -1)
    add("alpha.png", lambda p: p.write_bytes(imagecodecs.png_encode(alpha)), flat)


def _add_arrays(add: Callable[..., None]) -> None:
    add("c.npy", lambda p: np.save(p, LABELS))
    add("f.npy", lambda p: np.save(p, np.asfortranarray(LABELS)))
    add("wide.npy", lambda p: np.save(p, LABELS.astype(">i4")))
    raw = {"shape": SHAPE, "dtype": "uint8", "offset": 3}
    add("plain.raw", lambda p: p.write_bytes(b"abc" + LABELS.tobytes()), raw=raw)


def _add_hdf5(add: Callable[..., None]) -> None:
    import h5py

    def hdf5(values: np.ndarray = LABELS, libver: str = "earliest", **options: Any) -> Callable[[Path], object]:
        def write(path: Path) -> None:
            with h5py.File(path, "w", libver=libver) as file:
                data = file.create_dataset("group/image", data=values, **options)
                data.attrs["element_size_um"] = (0.04, 0.02, 0.01)

        return write

    add("plain.h5", hdf5())
    add("blocks.h5", hdf5(chunks=(4, 8, 16), compression="gzip", shuffle=True))
    add("latest.h5", hdf5(libver="latest", chunks=(3, 24, 32), fletcher32=True))

    def virtual(path: Path) -> None:
        layout = h5py.VirtualLayout(SHAPE, "u1")
        layout[:] = h5py.VirtualSource("plain.h5", "group/image", SHAPE)
        with h5py.File(path, "w") as file:
            file.create_virtual_dataset("image", layout)

    add("virtual.h5", virtual)


def _add_headers(add: Callable[..., None]) -> None:
    import SimpleITK

    def itk(compressed: bool) -> Callable[[Path], object]:
        return lambda path: SimpleITK.WriteImage(SimpleITK.GetImageFromArray(LABELS), str(path), compressed)

    for suffix in ("nrrd", "mha"):
        add(f"plain.{suffix}", itk(False))
        add(f"zip.{suffix}", itk(True))
    for suffix in ("nhdr", "mhd"):
        add(f"apart.{suffix}", itk(False))
    header = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 32 24 6\nencoding: ascii\n\n"
    text = " ".join(map(str, LABELS.ravel())).encode()
    add("text.nrrd", lambda p: p.write_bytes(header + text))


def _add_vti(add: Callable[..., None]) -> None:
    from vtkmodules import vtkIOXML
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkIOCore import vtkLZ4DataCompressor, vtkLZMADataCompressor, vtkZLibDataCompressor

    def vti(mode: str, compressor: Any = None) -> Callable[[Path], object]:
        def write(path: Path) -> None:
            image = vtkImageData()
            image.SetDimensions(*(n + 1 for n in SHAPE[::-1]))
            array = numpy_to_vtk(LABELS.ravel(), deep=True)
            array.SetName("labels")
            image.GetCellData().AddArray(array)
            writer = vtkIOXML.vtkXMLImageDataWriter()
            writer.SetFileName(str(path))
            writer.SetInputData(image)
            if mode == "ascii":
                writer.SetDataModeToAscii()
            elif mode == "binary":
                writer.SetDataModeToBinary()
            else:
                writer.SetDataModeToAppended()
            writer.SetEncodeAppendedData(mode == "encoded")
            writer.SetCompressor(compressor() if compressor else None)
            writer.SetBlockSize(1024)
            writer.Write()

        return write

    add("raw.vti", vti("raw"))
    add("zlib.vti", vti("raw", vtkZLibDataCompressor))
    add("lz4.vti", vti("raw", vtkLZ4DataCompressor))
    add("lzma.vti", vti("encoded", vtkLZMADataCompressor))
    add("binary.vti", vti("binary", vtkZLibDataCompressor))
    add("text.vti", vti("ascii"))


# --- changes ---


def changed(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """The bytes changed, and how."""
    kind = rng.choice(KINDS)
    out = bytearray(data)
    size = len(data)
    # Headers are where sense is lost: half of the changes hit the first part of the file, or its end.
    place = rng.choice(
        (rng.randrange(size), rng.randrange(min(size, 600)), max(0, size - 1 - rng.randrange(min(size, 300))))
    )
    if kind == "cut":
        return bytes(out[: rng.randrange(size)]), kind
    if kind == "flip":
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = place if rng.random() < 0.5 else rng.randrange(size)
            out[at] ^= 1 << rng.randrange(8)
    elif kind == "bytes":
        out[place : place + 4] = rng.randbytes(len(out[place : place + 4]))
    elif kind == "edge":
        form = rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
        value = struct.pack(form, rng.choice(EDGES) & (1 << 8 * struct.calcsize(form)) - 1)
        out[place : place + len(value)] = value[: len(out[place : place + len(value)])]
    elif kind == "number":
        numbers = list(re.finditer(rb"-?\d+(\.\d+)?", data[:4096]))
        if numbers:
            match = rng.choice(numbers)
            out[match.start() : match.end()] = rng.choice(WORDS).encode()
    elif kind == "nines":  # a number written out, as large as its digits allow: nothing else moves
        numbers = list(re.finditer(rb"\d+", data[:4096]))
        if numbers:
            match = rng.choice(numbers)
            out[match.start() : match.end()] = b"9" * len(match[0])
    elif kind == "gone":
        del out[place : place + rng.choice((1, 4, 64, 1000))]
    elif kind == "twice":
        part = out[place : place + rng.choice((1, 4, 64, 1000))]
        out[place:place] = part
    else:
        out += rng.randbytes(rng.choice((1, 16, 5000)))
    return bytes(out), kind


# --- the reader ---


def worker() -> None:
    """Read the files that are named on the standard input, and say what they are."""
    from microlith.imaging.errors import InputError
    from microlith.imaging.formats.stored import everything
    from microlith.imaging.options import ImageSource, RawLayout
    from microlith.imaging.readers.open import open_image, whole_image

    def read(path: str, raw: dict[str, Any] | None) -> dict[str, Any]:
        try:
            stored = open_image(
                ImageSource(path, raw=RawLayout(tuple(raw["shape"]), raw["dtype"], raw["offset"]) if raw else None)
            )
            values = whole_image(stored, path).values
            for piece in stored.layers(everything(stored.shape), 2):
                assert piece.shape[1:] == stored.shape[1:]
        except InputError as error:
            return {"refused": str(error)}
        zeros = np.flatnonzero(np.diff(np.concatenate([[1], values.ravel() != 0, [1]]).astype(np.int8)))
        longest = int(np.diff(zeros)[::2].max(initial=0))
        same = os.path.exists(f"{path}.npy") and np.array_equal(np.load(f"{path}.npy"), values)
        # Of an array that lies in the file as in memory zeros are bytes of the file, which nothing tells from others.
        longest *= not getattr(stored.layers, "func", read).__module__.endswith(".in_file")
        return {"zeros": longest, "same": bool(same), "told": list(stored.warnings), "shape": values.shape}

    for line in sys.stdin:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the largest use of memory so far is forgotten
        question = json.loads(line)
        answer = read(question["path"], question["raw"])
        with open("/proc/self/status") as file:
            peak = next(int(row.split()[1]) * 1024 for row in file if row.startswith("VmHWM"))
        print(json.dumps({**answer, "peak": peak}), flush=True)


class Reader:
    """The process that reads; another one where it had to be ended."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self._process: subprocess.Popen[str] | None = None

    def read(self, path: Path, raw: dict[str, Any] | None) -> dict[str, Any]:
        """What the process says, or how it ended; on a busy machine a file gets a second try with more patience."""
        answer = self._read(path, raw, self.patience)
        return self._read(path, raw, 3 * self.patience) if "hangs" in answer.get("fault", "") else answer

    def _read(self, path: Path, raw: dict[str, Any] | None, patience: float) -> dict[str, Any]:
        if self._process is None or self._process.poll() is not None:
            code = (
                f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import mutations; mutations.worker()"
            )
            self._process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"path": str(path), "raw": raw}) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], patience)[0]:
            self.close()
            return {"fault": f"hangs for {patience:g} s"}
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._process = None
            return {"fault": f"ends with status {status}"}
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None


def verdict(seed: Seed, kind: str, answer: dict[str, Any]) -> str:
    """What is wrong with an answer, "" if nothing is."""
    if "fault" in answer:
        return str(answer["fault"])
    if answer["peak"] > LARGEST:
        return f"takes {answer['peak'] / 2**30:.2g} GB"
    if "refused" in answer:
        message = answer["refused"]
        good = message.isprintable() and len(message) < 3000 and message.startswith("[image] file: ")
        return "" if good else f"a message that is none: {message[:200]!r}"
    if answer["same"] or answer["told"]:
        return ""
    if answer["zeros"] >= RUN:
        return f"fills in {answer['zeros']} zeros without a word, shape {answer['shape']}"
    if kind == "cut":
        return f"takes what was cut for another image, shape {answer['shape']}"
    return ""


def attack(
    folder: Path, count: int, seed: int, patience: float
) -> Iterator[tuple[Seed, str, Path, str, dict[str, Any]]]:
    """Read so many changed files.

    Yields:
        The good file, how it was changed, the changed one, what is wrong with what came out, and the answer.
    """
    rng = random.Random(seed)
    good = seeds(folder)
    reader = Reader(patience)
    try:
        for number in range(count):
            one = good[number % len(good)]
            target = folder / one.name
            data, kind = changed(one.data, rng) if number >= len(good) else (one.data, "none")
            target.write_bytes(data)
            np.save(f"{folder / one.source}.npy", one.values)
            start = time.monotonic()
            answer = reader.read(folder / one.source, one.raw)
            answer["seconds"] = time.monotonic() - start
            wrong = verdict(one, kind, answer)
            if kind == "none" and not answer.get("same"):
                wrong = wrong or f"the good file is not read: {answer}"
            yield one, kind, target, wrong, answer
            target.write_bytes(one.data)
    finally:
        reader.close()
