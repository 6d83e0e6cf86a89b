"""Checkpoints of a run: written every so often and when a signal asks the run to end, read when it goes on.

Beside the result folder, in a folder of that name and `.checkpoint`, stand the mesh, what each rank has found so far,
and two lists that take turns: each names its files with their checksums and is written when these are on the disk. So a
run that is killed at any moment leaves a list that is whole.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from signal import Signals
from typing import Any

from mpi4py import MPI

from microlith.imaging.errors import InputError, listed
from microlith.imaging.parallel.collective import on_first_rank, together
from microlith.imaging.writing import cannot_write
from microlith.workflow.case.case import Case
from microlith.workflow.checkpoints.channel import Channel
from microlith.workflow.checkpoints.files import (
    SLOTS,
    Damaged,
    Listing,
    Part,
    check_part,
    crc_of,
    read_listing,
    synced,
    write_listing,
)
from microlith.workflow.checkpoints.signals import Asked, Stopped
from microlith.workflow.prepare.meshed import Meshed
from microlith.workflow.prepare.stored_mesh import recipe_of
from microlith.workflow.storage.mesh_file import write_mesh_file

log = logging.getLogger(__name__)
SUFFIX = ".checkpoint"
FREE = ("title", "pictures", "analysis", "run", "sweep")  # tables of a case file that an integration does not depend on
OURS = re.compile(r"run\d+-.*|\..*\.part.*")  # files of checkpoints, lists apart
LONG = 30.0  # s: a run of which this much would be lost as it writes its results has a checkpoint first
ASKED, DUE, FAILED = 1, 2, 4


def folder_of(output: Path) -> Path:
    """Where the checkpoints of a run are whose results go to a folder."""
    return output.with_name(f"{output.name}{SUFFIX}")


class Checkpoints:
    """All of a run; its methods are collective but where they say otherwise."""

    def __init__(
        self,
        folder: Path,
        case: Case,
        comm: MPI.Intracomm,
        earlier: Listing | None,
        asked: Asked | None,
        scratch: Path,
    ) -> None:
        """See `checkpoints`."""
        self.folder, self._case, self._comm, self._earlier = folder, case, comm, earlier
        self.run = 1 if earlier is None else earlier.run + 1
        self._number = 0 if earlier is None else earlier.number
        self._mesh = "" if earlier is None else earlier.mesh
        self._meshed: Meshed | None = None
        self._channels: dict[str, Channel] = {}
        self._asked, self._taken_elsewhere = asked or Asked(), asked is not None
        self._last = time.monotonic()
        self._usable = True
        self.written = earlier is not None
        self.home = self._scratch = scratch
        self._started = self._last

    # --- for the run ---

    @property
    def resumed(self) -> bool:
        """Whether this goes on from a checkpoint; without communication."""
        return self._earlier is not None

    def with_mesh(self, case: Case) -> Case:
        """The case with the mesh of the checkpoint in place of one of its own; without communication."""
        if self._earlier is None or not self._mesh:
            return case
        return replace(case, mesh=replace(case.mesh, file=str((self.folder / self._mesh).absolute())))

    def meshed(self, meshed: Meshed) -> Meshed:
        """Take up the mesh, and give it back as one of the case's own; may end the process."""
        if self._mesh:
            own = replace(meshed.case.mesh, file=self._case.mesh.file)
            meshed = replace(meshed, case=replace(meshed.case, mesh=own))
        self._meshed = meshed
        self.safe(False)
        return meshed

    def channel(self, name: str) -> Channel:
        """Where an integration keeps what it finds; without communication."""
        earlier = None
        if self._earlier is not None and name in self._earlier.channels:
            earlier = (self._earlier.channels[name], self._earlier.run, self._earlier.ranks)
        self._channels[name] = Channel(name, self, earlier, required=name == "run")
        return self._channels[name]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While the block runs, signals ask it to end where it can; all files go where it ends well."""
        try:
            with nullcontext() if self._taken_elsewhere else self._asked.taken_down():
                yield
        finally:
            for channel in self._channels.values():
                channel.close()

    def solved(self) -> None:
        """All is found but results are not written, which takes a while: from here on a signal ends the run at once."""
        self.safe(False)
        long = self._comm.bcast(time.monotonic() - self._started > LONG)
        if self._usable and (long or self.written or self._case.checkpoint is not None):
            self._try()
        if self._usable and self.written:
            self._asked.sentence = self._advice
        self._asked.at_once = True
        self.safe(False)  # one that came in between

    def done(self) -> None:
        """Remove all of it: the results are there."""
        on_first_rank(self._comm, lambda: shutil.rmtree(self.folder, ignore_errors=True))

    def forget(self) -> None:
        """Remove what is of no use without a checkpoint; without communication."""
        if self._comm.rank == 0 and not any((self.folder / slot).exists() for slot in SLOTS):
            shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove files that are in no checkpoint, before the results go where they belong; no signal ends that."""
        self._asked.over = True
        on_first_rank(self._comm, lambda: shutil.rmtree(self._scratch, ignore_errors=True))

    # --- for its channels ---

    def safe(self, failed: bool) -> None:
        """See `Owner`."""
        interval = self._case.checkpoint
        due = self._comm.rank == 0 and interval is not None and time.monotonic() - self._last >= interval
        flags = (ASKED if self._asked.number else 0) | (DUE if due else 0) | (FAILED if failed else 0)
        flags = self._comm.allreduce(flags, op=MPI.BOR)
        if flags & FAILED and self._usable:
            self._give_up("there is no room for them")
        if not flags & (ASKED | DUE):
            return
        if self._usable and self._meshed is not None:
            self._try()
        if flags & ASKED:
            number = self._comm.allreduce(self._asked.number, op=MPI.MAX)
            self._end(number)

    def _end(self, number: int) -> None:
        name = Signals(number).name
        if not self._usable:
            raise SystemExit(128 + number)
        if not self.written:
            raise Stopped(f"ended by {name} before there was anything to keep; the same command starts anew")
        raise Stopped(f"ended by {name}; {self._advice}")

    @property
    def _advice(self) -> str:
        return f"a checkpoint is in {self.folder}: go on with the same command and --resume"

    def _try(self) -> None:
        """Write a checkpoint, or none any more."""
        try:
            self._write()
        except InputError as error:
            self._give_up(str(error))

    def _give_up(self, why: str) -> None:
        self._usable = False
        if self._comm.rank == 0:
            log.warning("no more checkpoints are written to %s: %s", self.folder, why)

    def _write(self) -> None:
        """Write a checkpoint."""
        start = time.monotonic()
        if self.home != self.folder:
            self._settle()
        self._write_mesh()
        self._number += 1
        about, parts = {}, []
        begun = {name: channel for name, channel in self._channels.items() if channel.begun}
        for name, channel in begun.items():  # not what failed before, such as an estimate whose mesh lost a region
            about[name], some = channel.written(self._number)
            parts += some
        gathered = self._comm.gather(parts) or []
        on_first_rank(self._comm, partial(self._list, about, [part for some in gathered for part in some]))
        self.written = True
        self._last = time.monotonic()
        if self._comm.rank == 0:
            log.info("checkpoint: %s (%.1f s)", self.folder, self._last - start)

    def _settle(self) -> None:
        """Have the files of this run where checkpoints are."""
        on_first_rank(self._comm, lambda: _made(self.folder))
        before, self.home = self.home, self.folder

        def move() -> None:
            try:
                for channel in self._channels.values():
                    channel.move(before)
            except OSError as error:
                raise cannot_write(self.folder, error) from error

        together(self._comm, move)

    def _write_mesh(self) -> None:
        if self._case.mesh.file or self._mesh:
            return
        meshed = self._meshed
        assert meshed is not None
        assert meshed.image_mesh is not None
        name = f"run{self.run}-mesh.vtkhdf"
        recipe = recipe_of(meshed.case, meshed.volume, meshed.method, meshed.case.physics.solved, self._comm)
        write_mesh_file(self.folder / name, recipe, meshed.image_mesh, None, self._comm)
        on_first_rank(self._comm, lambda: synced(self.folder / name))
        self._mesh = name

    def _list(self, about: dict[str, dict[str, Any]], parts: list[Part]) -> None:
        try:
            if self._mesh:
                parts = [*parts, crc_of(self.folder / self._mesh)]
            listing = Listing(
                number=self._number,
                run=self.run,
                version=version("microlith"),
                case=fingerprints(self._case),
                ranks=self._comm.size,
                saved=datetime.now().astimezone().isoformat(timespec="seconds"),
                mesh=self._mesh,
                channels=about,
                parts=parts,
            )
            write_listing(self.folder, listing)
            self._clear()
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def _clear(self) -> None:
        """Remove files that no list names, but those of this process."""
        named: set[str] = set()
        for slot in SLOTS:
            with suppress(Damaged):
                named |= {part.name for part in read_listing(self.folder / slot).parts}
        for path in self.folder.iterdir():
            mine = path.name.startswith(f"run{self.run}-") and "standing" not in path.name
            if path.name not in named and not mine and OURS.fullmatch(path.name):
                path.unlink(missing_ok=True)


@contextmanager
def checkpoints(
    output: Path, hidden: Path, case: Case, comm: MPI.Intracomm, *, resume: bool, asked: Asked | None = None
) -> Iterator[Checkpoints]:
    """Checkpoints of a run; collective.

    Args:
        output: The folder of its results.
        hidden: That where they are collected; what stands there is gone when the run is, however that ends.
        case: What is run.
        comm: All ranks.
        resume: Whether to go on from a checkpoint, where there is one.
        asked: Whether a signal asked for an end; None: signals are looked at inside only.

    Yields:
        The checkpoints; signals are looked at inside.

    Raises:
        InputError: A checkpoint is of another case, image or version, or none is as it was written.
    """
    folder = folder_of(output)
    earlier = _earlier(folder, case, comm) if resume else None
    if earlier is None:
        on_first_rank(comm, lambda: _tell(folder, resume))
    scratch = hidden / "checkpoint"
    on_first_rank(comm, lambda: _made(scratch))
    found = Checkpoints(folder, case, comm, earlier, asked, scratch)
    if not resume:
        found.run, found._number = on_first_rank(comm, lambda: _after_others(folder))
    try:
        with found.at_work():
            yield found
        found.clear()
    except BaseException:
        found.forget()
        raise


def _tell(folder: Path, resume: bool) -> None:
    """That a run starts anew, where that is perhaps not meant."""
    if resume:
        log.info("no checkpoint in %s: the run starts from the beginning", folder)
    elif any((folder / slot).exists() for slot in SLOTS):
        log.warning("%s has a checkpoint, which the first new one replaces; to go on from it, use --resume", folder)


def _made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def _after_others(folder: Path) -> tuple[int, int]:
    """Numbers of the run and of the checkpoint before the next one, after what is there."""
    run = number = 0
    for slot in SLOTS:
        with suppress(Damaged):
            listing = read_listing(folder / slot)
            run, number = max(run, listing.run), max(number, listing.number)
    return run + 1, number


def _earlier(folder: Path, case: Case, comm: MPI.Intracomm) -> Listing | None:
    """The latest checkpoint that is as it was written and of this case; None where there is none."""
    there, candidates, damage = on_first_rank(comm, lambda: _candidates(folder))
    if not there:
        return None
    for listing in candidates:
        on_first_rank(comm, partial(_check_case, folder, listing, case))
        found = together(comm, partial(_damage, folder, listing, comm.rank, comm.size))
        worst = [one for one in comm.allgather(found) if one]
        if not worst:
            if comm.rank == 0:
                for one in damage:
                    log.warning("%s: %s; going on from the checkpoint before it", folder, one)
                log.info("going on from the checkpoint of %s in %s", listing.saved, folder)
            return listing
        damage = [*damage, worst[0]]
    raise InputError(
        f"--resume: {folder} is damaged: {'; '.join(dict.fromkeys(damage))}; run without --resume to start from the "
        "beginning"
    )


def _candidates(folder: Path) -> tuple[bool, list[Listing], list[str]]:
    """Whether there is a list, those that can be read, the latest first, and what is wrong with others."""
    found, damage = [], []
    there = [folder / slot for slot in SLOTS if (folder / slot).exists()]
    for path in there:
        try:
            found.append(read_listing(path))
        except Damaged as error:
            damage.append(str(error))
    return bool(there), sorted(found, key=lambda one: -one.number), damage


def _damage(folder: Path, listing: Listing, rank: int, size: int) -> str:
    """What is wrong with this rank's share of the files; empty: nothing."""
    try:
        for part in listing.parts[rank::size]:
            check_part(folder, part)
    except Damaged as error:
        return str(error)
    return ""


def _check_case(folder: Path, listing: Listing, case: Case) -> None:
    now = version("microlith")
    if listing.version != now:
        raise InputError(
            f"--resume: {folder} is a checkpoint of microlith {listing.version}, and this is {now}; go on with that "
            "version, or run without --resume"
        )
    here = fingerprints(case)
    other = sorted(key for key in {*here, *listing.case} if here.get(key) != listing.case.get(key))
    if other:
        what = listed([f"[{key}]" if key not in ("interfaces", "initial") else key for key in other])
        verb = "is" if len(other) == 1 else "are"
        raise InputError(
            f"--resume: {folder} is a checkpoint of another case: {what} {verb} not as in {case.path}; "
            "take back the change, or run without --resume"
        )


def fingerprints(case: Case) -> dict[str, str]:
    """Of each table of a case that an integration depends on, and of the files that it names but the image's."""
    tables = {key: value for key, value in case.tables.items() if key not in FREE}
    found = {}
    for key, value in tables.items():
        if key in ("image", "mesh") and isinstance(value, Mapping):
            value = {name: entry for name, entry in value.items() if name != "file"}
        total = hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode())
        if key == "mesh" and case.mesh.file:
            total.update(str(crc_of(Path(case.mesh.file)).crc).encode())
        if key == "regions" and isinstance(value, Mapping):
            for region in value.values():
                name = region.get("labels") if isinstance(region, Mapping) else None
                path = case.path.parent / os.path.expanduser(str(name))
                if name is not None and path.is_file():
                    total.update(str(crc_of(path).crc).encode())
        if key == "initial" and case.initial is not None:
            total.update(str(crc_of(Path(case.initial.folder) / "fields.vtkhdf").crc).encode())
        found[key] = total.hexdigest()
    return found
