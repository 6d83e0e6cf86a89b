"""One integration of a run: what it finds goes to a file of this rank, and comes from the files of an earlier run."""

import shutil
import zlib
from collections.abc import Callable
from io import BufferedWriter
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dolfinx import fem

from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Array, Numbers
from microlith.solver.keeping import Found, Standing
from microlith.workflow.checkpoints.files import Part, crc_of, synced
from microlith.workflow.checkpoints.unknowns import Unknowns, numbers_then, places_at, same

NUMBER = 8  # bytes
SAME = 1e-9  # relative difference up to which two keys are one: lengths of times differ by rounding


class Owner(Protocol):
    """Whoever decides when checkpoints are written."""

    folder: Path  # of the checkpoints
    home: Path  # of the files of this run: hidden until there is a checkpoint
    run: int

    def safe(self, failed: bool) -> None:
        """Called where all can be written; may end the process. Collective."""


class Channel:
    """A keeper (see `solver.keeping`) for one integration."""

    def __init__(
        self, name: str, owner: Owner, earlier: "tuple[dict[str, Any], int, int] | None", required: bool
    ) -> None:
        """Take up a channel.

        Args:
            name: Of the integration.
            owner: Of all channels.
            earlier: What a checkpoint says of it, and run and ranks that wrote it.
            required: Whether an earlier one has to fit; else what does not fit is left out.
        """
        self.name, self._owner, self._earlier, self._required = name, owner, earlier, required
        self.entries: list[tuple[str, float, tuple[float, ...], bool]] = []
        self._file: BufferedWriter | None = None
        self._crc = self._size = 0
        self._unknowns: Unknowns | None = None
        self.begun = False
        self._parts: dict[str, Part] = {}
        self._reader: _Reader | None = None
        self._standing: Callable[[], Standing] | None = None
        self.failed = False
        self._watches: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []

    def watches(self, state: Callable[[], Any], take_up: Callable[[Any], None]) -> None:
        """Keep what looks at each step, too; without communication.

        Args:
            state: What it has seen, as JSON can hold it, the same on all ranks; collective.
            take_up: Takes that up again.
        """
        self._watches.append((state, take_up))

    def begin(self, space: fem.FunctionSpace) -> None:
        """See `Keeper`."""
        self._comm, self._space, self.begun = space.mesh.comm, space, True
        path = self._path("found.bin", self._comm.rank)
        try:
            self._file = path.open("wb")
        except OSError:
            self.failed = True
        if self._earlier is not None:
            about, run, ranks = self._earlier
            self._reader = _reader(
                self._owner.folder, self.name, about, run, ranks, self._mine(), self._comm, self._required
            )

    def recalled(self, kind: str, key: float) -> Found | None:
        """See `Keeper`."""
        if self._reader is None:
            return None
        found = self._reader.next(kind, key)
        if found is not None:
            self._write(kind, key, found)
        return found

    def take_down(self, kind: str, key: float, found: Found) -> None:
        """See `Keeper`."""
        self._write(kind, key, found)
        self._owner.safe(self.failed)

    def standing(self) -> Standing | None:
        """See `Keeper`."""
        found = None if self._reader is None else self._reader.standing()
        if found is not None and self._reader is not None:
            for (_, take_up), seen in zip(self._watches, self._reader.seen, strict=True):
                take_up(seen)
        return found

    def after_step(self, standing: Callable[[], Standing]) -> None:
        """See `Keeper`."""
        self._standing = standing
        self._owner.safe(self.failed)

    def written(self, number: int) -> tuple[dict[str, Any], list[Part]]:
        """Have all of it on the disk: what the list says of it, and the files of this rank. Collective.

        Raises:
            InputError: On all ranks, where there is no room.
        """
        standing = None if self._standing is None else self._standing()
        self._mine()
        parts = together(self._comm, lambda: self._files(number, standing))
        about: dict[str, Any] = {"entries": self.entries, "standing": None}
        if standing is not None:
            about["standing"] = {
                "numbers": standing.numbers,
                "vectors": sorted(standing.vectors),
                "local": sorted(standing.local),
                "tables": sorted(standing.tables),
                "seen": [state() for state, _ in self._watches],
                "file": f"{number}",
            }
        return about, parts

    def move(self, before: Path) -> None:
        """Take this rank's file along to the home of its owner, which has moved; without communication.

        Raises:
            OSError: It can't be moved.
        """
        if self._file is None:
            return
        self._file.close()
        path = self._path("found.bin", self._comm.rank)
        shutil.move(before / path.name, path)
        self._file = path.open("ab")

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _mine(self) -> Unknowns:
        """The unknowns of this rank, not before a checkpoint asks for them: most runs end without one. Collective."""
        if self._unknowns is None:
            self._unknowns = Unknowns.of(self._space)
        return self._unknowns

    def _files(self, number: int, standing: Standing | None) -> list[Part]:
        assert self._unknowns is not None
        assert self._file is not None
        rank = self._comm.rank
        self._file.flush()
        log = self._path("found.bin", rank)
        synced(log)
        parts = [Part(log.name, self._size, self._crc)]
        if "unknowns" not in self._parts:
            path = self._path("unknowns.npz", rank)
            self._unknowns.save(path)
            synced(path)
            self._parts["unknowns"] = crc_of(path)
        parts.append(self._parts["unknowns"])
        if standing is not None:
            path = self._path(f"standing-{number}.npz", rank)
            arrays = {f"v:{k}": a for k, a in standing.vectors.items()} | {
                f"l:{k}": a for k, a in standing.local.items()
            }
            arrays |= {f"t:{k}": a for k, a in standing.tables.items()} if rank == 0 else {}
            np.savez(path, **arrays)  # type: ignore[arg-type]
            synced(path)
            parts.append(crc_of(path))
        return parts

    def _write(self, kind: str, key: float, found: Found) -> None:
        self.entries.append((kind, key, found.numbers, found.vector is not None))
        if found.vector is None or self._file is None:
            return
        piece = np.ascontiguousarray(found.vector, dtype=np.float64).data.cast("B")
        try:
            self._file.write(piece)
        except OSError:
            self.failed = True
        self._crc, self._size = zlib.crc32(piece, self._crc), self._size + len(piece)

    def _path(self, what: str, rank: int) -> Path:
        return path_of(self._owner.home, self._owner.run, self.name, what, rank)


def path_of(folder: Path, run: int, name: str, what: str, rank: int) -> Path:
    """A file of a channel."""
    return folder / f"run{run}-{name}-rank{rank}-{what}"


class _Reader:
    """What an earlier run has found, for this rank."""

    def __init__(
        self,
        about: dict[str, Any],
        sources: list[tuple[Path, Path, int, Numbers, Numbers]],
        owned: int,
        alike: bool,
        first: Path,
    ) -> None:
        """Of each earlier rank: files, unknowns there, and which of them are which of ours."""
        self._entries = [(str(k), float(x), tuple(n), bool(v)) for k, x, n, v in about["entries"]]
        self._about, self._sources, self._owned, self._alike = about, sources, owned, alike
        self._first = first  # the file of rank 0 then
        self._next = self._vectors = 0

    def next(self, kind: str, key: float) -> Found | None:
        if self._next >= len(self._entries):
            return None
        there, other, numbers, has = self._entries[self._next]
        if there != kind or abs(other - key) > SAME * abs(key):
            self._entries = self._entries[: self._next]  # this run takes another way from here on
            return None
        self._next += 1
        if not has:
            return Found(numbers)
        found = np.empty(self._owned)
        for log, _, count, here, there_at in self._sources:
            if len(here):
                every = np.memmap(log, np.float64, "r", self._vectors * count * NUMBER, (count,))
                found[here] = every[there_at]
        self._vectors += 1
        return Found(numbers, found)

    @property
    def seen(self) -> list[Any]:
        return list(self._about["standing"]["seen"])

    def standing(self) -> Standing | None:
        about = self._about["standing"]
        if about is None:
            return None
        vectors: dict[str, Array] = {name: np.empty(self._owned) for name in about["vectors"]}
        local: dict[str, Array] = {}
        for _, path, _, here, there in self._sources:
            if not len(here) and not self._alike:
                continue
            with np.load(path, allow_pickle=False) as file:
                for name, vector in vectors.items():
                    vector[here] = file[f"v:{name}"][there]
                if self._alike:
                    local = {name: file[f"l:{name}"] for name in about["local"]}
        with np.load(self._first, allow_pickle=False) as file:
            tables = {name: file[f"t:{name}"] for name in about["tables"]}
        return Standing(about["numbers"], vectors, tables, local)


def _reader(
    folder: Path, name: str, about: dict[str, Any], run: int, ranks: int, mine: Unknowns, comm: Any, required: bool
) -> _Reader | None:
    """What an earlier run has found; None where it is of no use. Collective."""
    standing = about["standing"]

    def paths(rank: int) -> tuple[Path, Path]:
        end = "" if standing is None else f"standing-{standing['file']}.npz"
        return path_of(folder, run, name, "found.bin", rank), path_of(folder, run, name, end, rank)

    def load(rank: int) -> Unknowns:
        return Unknowns.load(path_of(folder, run, name, "unknowns.npz", rank))

    def alike() -> bool:
        return ranks == comm.size and same(mine, load(comm.rank))

    all_alike = all(comm.allgather(together(comm, alike)))
    if standing is not None and standing["local"] and not all_alike:
        raise _other_ranks(ranks)

    def sources() -> list[tuple[Path, Path, int, Numbers, Numbers]] | None:
        count = len(mine.places)
        if all_alike:
            every = np.arange(count)
            return [(*paths(comm.rank), count, every, every)]
        found, covered = [], np.zeros(count, bool)
        try:
            numbers = numbers_then(mine, map(load, range(ranks)))
            for rank in range(ranks):
                theirs = load(rank)
                here, there = places_at(mine, theirs, numbers)
                covered[here] = True
                found.append((*paths(rank), len(theirs.places), here, there))
        except ValueError:
            return None
        return found if covered.all() else None

    mapped = together(comm, sources)
    if not all(comm.allgather(mapped is not None)):
        if required:
            raise _other_mesh()
        return None
    assert mapped is not None
    return _Reader(about, mapped, len(mine.places), all_alike, paths(0)[1])


def _other_ranks(ranks: int) -> Exception:
    from microlith.imaging.errors import InputError

    return InputError(
        f"--resume: sinks that fill up can only be gone on with on as many ranks as before, {ranks}; take these, or "
        "run without --resume"
    )


def _other_mesh() -> Exception:
    from microlith.imaging.errors import InputError

    return InputError("--resume: the unknowns of the checkpoint are not those of its mesh; run without --resume")
