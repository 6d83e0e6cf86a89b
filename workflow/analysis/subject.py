"""What is measured: an image, and which of its phases are meant by what the case says."""

from dataclasses import dataclass

from mpi4py import MPI

from microlith.imaging.axes import axis_names
from microlith.imaging.image.volume import LabelVolume
from microlith.solver.physics.phases import Role
from microlith.workflow.case.case import AnalysisOptions, Case


@dataclass(frozen=True, eq=False)
class Subject:
    """An image, or a part of one, with all that measurements need to know of the case."""

    volume: LabelVolume
    comm: MPI.Intracomm  # ranks that share it
    options: AnalysisOptions
    pores: tuple[int, ...]  # phases
    particles: tuple[int, ...]  # phases
    numbers_only: bool = False  # of a part of the image: no tables, charts and maps are wanted

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes in the order of arrays: z, y, x or y, x."""
        return axis_names(self.volume.dim)

    def names(self, phases: tuple[int, ...]) -> str:
        """Names of some phases, joined as parts of a number's name."""
        return "+".join(self.volume.names[phase] for phase in phases)


def subject_of(case: Case, volume: LabelVolume, comm: MPI.Intracomm) -> Subject:
    """The image of a case as what is to be measured.

    Where [analysis] does not say which phases are pores and particles, sources are pores, and particles are the
    barriers and sinks.
    """
    options, roles = case.analysis, {phase.name: phase.role for phase in case.physics.phases}

    def phases(given: tuple[str, ...], *meant: Role) -> tuple[int, ...]:
        return tuple(i for i, name in enumerate(volume.names) if (name in given if given else roles[name] in meant))

    return Subject(
        volume,
        comm,
        options,
        pores=phases(options.pores, Role.SOURCE),
        particles=phases(options.particles, Role.BARRIER, Role.SINK),
    )
