"""The process that opens and decodes HDF5 files; see files/apart.py. Nothing else imports this."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import listed, printable
from microlith.imaging.files.apart import Question, limit_memory, limit_time, serve
from microlith.imaging.formats.stored import Window, lengths, parts

MOST_OBJECTS = 10_000  # of a file that are looked at in search of the one dataset
BYTES_AT_ONCE = 256 << 20  # bytes of a row of chunks read in one go
CACHE = 64 << 20  # bytes of chunks kept where a row of them is more than that
FRAME = 4 << 20  # bytes sent at a time
LARGEST_CHUNK = 2 << 30  # bytes
SLOWEST = 5e6  # bytes decoded in a second of work, at worst
MOST_LINKED = 8  # virtual datasets that lead to each other
# Filters that change values. 6 is the library's own "scale-offset", where it is told how many bits to keep.
LOSSY = {32013: "ZFP", 32017: "SZ", 32019: "JPEG", 32022: "granular bit rounding", 32023: "bit grooming", 32024: "SZ3"}
SCALE_OFFSET, OF_INTEGERS = 6, 2


class Refused(Exception):
    """The file can be read, but holds no labels that can be taken; the text is the rest of a sentence."""


def answers(question: Question) -> Iterator[tuple[dict[str, Any], NDArray[Any] | None]]:
    """What a file holds, or the values in a window of a dataset."""
    if "open" in question:
        try:
            with h5py.File(question["open"], "r") as file:
                yield _described(file, question["name"], question["sizes"]), None
        except Refused as refusal:
            yield {"refused": str(refusal)}, None
        return
    window = tuple((int(first), int(last)) for first, last in question["window"])
    with h5py.File(question["read"], "r", rdcc_nbytes=CACHE) as file:
        for values in _pieces(file[question["name"]], window):
            yield {"layers": len(values)}, values


def _described(file: h5py.File, name: str | None, sizes: str) -> dict[str, Any]:
    dataset = _dataset(file, name)
    if dataset.shape is None:
        raise Refused(f"{dataset.name} has no shape and no values; name another dataset")
    files = _refuse_what_is_elsewhere(dataset)
    _refuse_lossy(dataset)
    dtype = dataset.dtype
    numeric = dtype.kind in "biuf"
    warnings = _unwritten(dataset) if numeric else []
    stated, complaint = _sizes(dataset, sizes)
    return {
        "found": dataset.name,
        "shape": dataset.shape,
        "dtype": dtype.str if numeric else "V1",
        "offset": _offset(dataset) if numeric else None,
        "sizes": stated,
        "files": files,
        "warnings": [*warnings, *complaint],
    }


# --- which dataset ---


def _dataset(file: h5py.File, name: str | None) -> h5py.Dataset:
    if name is not None:
        try:
            found = file.get(name)
        except (RuntimeError, OSError, ValueError) as error:  # a link that leads nowhere
            raise Refused(f"{printable(name)} can't be opened ({error}); name another dataset") from error
        if isinstance(found, h5py.Dataset):
            return found
    names = _names(file)
    holds = f"it holds {listed(names)}" if names else "it holds no array of two or three axes"
    if name is not None:
        raise Refused(f'there is no dataset "{printable(name)}"; {holds}')
    if len(names) != 1:
        raise Refused(f'expected the name of a dataset, as in "file.h5:/image", got none; {holds}')
    return file[names[0]]


def _names(file: h5py.File) -> list[str]:
    """Datasets of two axes or more; those without a shape are none."""
    found: list[str] = []
    seen = 0

    def visit(path: str, node: Any) -> None:
        nonlocal seen
        seen += 1
        if seen > MOST_OBJECTS:
            raise Refused('holds too many datasets and groups to look for an image in; name it, as in "file.h5:/image"')
        if isinstance(node, h5py.Dataset) and node.shape is not None and len(node.shape) >= 2:
            found.append(f"/{path}")

    file.visititems(visit)
    return found


# --- whether its values are there ---


def _refuse_what_is_elsewhere(dataset: h5py.Dataset) -> list[str]:
    """Other files that a virtual dataset takes its values from."""
    if dataset.external:
        raise Refused(f"{dataset.name} keeps its values in another file; copy it to one file (h5repack)")
    if not dataset.is_virtual:
        return []
    files: dict[str, None] = {}
    _follow(Path(dataset.file.filename), dataset, [], files)
    return list(files)


def _follow(path: Path, dataset: h5py.Dataset, trail: list[tuple[Path, str]], files: dict[str, None]) -> None:
    """Go after the sources of a virtual dataset, all of which have to be there."""
    if (path, dataset.name) in trail or len(trail) >= MOST_LINKED:
        raise Refused(f"the virtual dataset {dataset.name} leads to itself; copy it to a plain dataset")
    covered = 0
    for source in dataset.virtual_sources():
        covered += source.vspace.get_select_npoints()
        other = path if source.file_name == "." else path.parent / source.file_name
        if not other.is_file():
            raise Refused(f"{dataset.name} takes values from {printable(str(other))}, which is no file; put it there")
        if other != path:
            files[str(other)] = None
        with h5py.File(other, "r") as file:
            # Not opened before it is known to be no virtual dataset on itself: the library crashes on those.
            if (other, source.dset_name) in [*trail, (path, dataset.name)]:
                raise Refused(f"the virtual dataset {dataset.name} leads to itself; copy it to a plain dataset")
            found = file.get(source.dset_name)
            if not isinstance(found, h5py.Dataset):
                raise Refused(f"{dataset.name} takes values from {source.dset_name} of {other.name}, which isn't there")
            if found.is_virtual:
                _follow(other, found, [*trail, (path, dataset.name)], files)
    if covered < dataset.size:
        raise Refused(
            f"the virtual dataset {dataset.name} has sources for {covered} of its {dataset.size} voxels only; copy it "
            "to a plain dataset"
        )


def _refuse_lossy(dataset: h5py.Dataset) -> None:
    properties = dataset.id.get_create_plist()
    for i in range(properties.get_nfilters()):
        code, _, parameters, _ = properties.get_filter(i)
        cut = code == SCALE_OFFSET and not (parameters[0] == OF_INTEGERS and parameters[1] == 0)
        if cut or code in LOSSY:
            name = LOSSY.get(code, "scale-offset with a fixed number of bits")
            why = f"is compressed with loss ({name}), which blurs labels and changes grey values"
            raise Refused(f"{dataset.name} {why}; save it with gzip")


def _unwritten(dataset: h5py.Dataset) -> list[str]:
    """A sentence about voxels that nobody wrote.

    Raises:
        Refused: No voxel was written.
    """
    if dataset.size == 0 or dataset.is_virtual:
        return []
    if dataset.id.get_storage_size() == 0:
        raise Refused(f"{dataset.name} was made, but its values were never written; export it again")
    if dataset.chunks is None:
        return []
    there = dataset.id.get_num_chunks()
    wanted = math.prod(-(-n // chunk) for n, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    if there >= wanted:
        return []
    return [
        f"{wanted - there} of the {wanted} blocks of {dataset.name} were never written: their voxels count as "
        f"{dataset.fillvalue}"
    ]


def _offset(dataset: h5py.Dataset) -> int | None:
    """Where the values begin in the file, if they lie there as in memory."""
    kind = dataset.id.get_type()
    if dataset.chunks is not None or dataset.is_virtual or dataset.size == 0:
        return None
    if dataset.dtype.kind != "b" and not kind.equal(h5py.h5t.py_create(dataset.dtype)):
        return None  # of an odd number of bits, say
    return dataset.id.get_offset()


def _sizes(dataset: h5py.Dataset, name: str) -> tuple[list[float], list[str]]:
    """The voxel size that an attribute states, and what is wrong with it."""
    if name not in dataset.attrs:
        return [], []
    try:
        stated = np.ravel(np.asarray(dataset.attrs[name], np.float64))
    except Exception:  # a word, nothing at all, a type that NumPy doesn't have
        stated = np.empty(0)
    ndim = len(dataset.shape)
    space = ndim - sum(n == 1 for n in dataset.shape)
    if len(stated) != ndim and not (len(stated) in (2, 3) and len(stated) >= space):
        return [], [f"the attribute {name} of {dataset.name} is left aside, it is no number for each axis"]
    return [float(size) for size in stated], []


# --- values ---


def _pieces(dataset: h5py.Dataset, window: Window) -> Iterator[NDArray[Any]]:
    """The values in a window, layers of the first axis in pieces of about FRAME bytes."""
    item = dataset.dtype.itemsize
    layer = math.prod(lengths(window)[1:]) * item
    chunks = dataset.chunks or (1, *dataset.shape[1:])
    chunk = math.prod(chunks) * item
    if chunk > LARGEST_CHUNK:
        raise ValueError(f"its blocks have {chunk / 1e9:.3g} GB each")
    # A row of chunks at a time, so that each is decoded once.
    rows = chunks[0] if chunks[0] * layer <= BYTES_AT_ONCE else max(1, FRAME // max(1, layer))
    limit_memory(rows * layer + 3 * chunk)
    (first, last), *rest = window
    for start in range(first - first % rows, last, rows):
        ends = (max(start, first), min(start + rows, last))
        touched = math.prod(b - a + 2 * c for (a, b), c in zip((ends, *rest), chunks, strict=True)) * item
        limit_time(touched / SLOWEST)
        values = dataset[tuple(slice(*pair) for pair in (ends, *rest))]
        for part in parts(((0, len(values)),), max(1, FRAME // max(1, layer))):
            yield values[slice(*part[0])]


if __name__ == "__main__":
    serve(answers)
