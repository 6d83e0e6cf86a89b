"""Pictures of 3D runs: surfaces of known area on any ranks, exact values on them, right colours in the right places."""

import logging
import sys

import made_meshes
import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image
from scipy.sparse import eye_array

from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.image.volume import LabelVolume, Portion
from microlith.imaging.parallel.machine import peak_memory
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.solver.physics.phases import Role
from microlith.solver.regions.shapes import Ball, Box, Shell, WholePhase
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.pictures import snapshots3d as pictures3d
from microlith.workflow.pictures.canvas import MARGINS
from microlith.workflow.pictures.colour_scales import ColourScale
from microlith.workflow.pictures.labels import write_phases
from microlith.workflow.pictures.sample import Sample, Snapshots
from microlith.workflow.pictures.snapshots import draw_snapshots
from microlith.workflow.rendering.cutaway import Sheet, _section, _split, cutaway, thinned, vertices_of
from microlith.workflow.rendering.projection import LONG_SIDE, View
from microlith.workflow.rendering.renderer import (
    Layer,
    Renderer,
    RenderingError,
    Scene,
    check_rendering,
    drawing_memory,
    grey,
    rendering_environment,
)
from microlith.workflow.rendering.solids import solids
from microlith.workflow.rendering.stage import FINER, _in_blocks, _mean

COMM = MPI.COMM_WORLD
NAMES = ("pore", "sei_cb", "particle", "other")
PORE, SEI, PARTICLE, OTHER = range(4)
ROLES = (Role.SOURCE, Role.BARRIER, Role.BARRIER, Role.BARRIER)  # where they are not solved for
SHAPES = ("tetrahedron", "hexahedron")


def block(shape, other=SEI):
    """6 x 6 x 6 voxels: SEI/C/B (or `other` where z >= 3) with a pore and a particle of 2 x 2 x 2 voxels in it.

    The particle lies in the middle, so one eighth of it is in the corner that is taken away; the pore lies at x_max,
    y_max and z_max, with three of its sides on faces of the image.
    """
    labels = np.full((6, 6, 6), SEI, np.uint8)  # z, y, x
    labels[3:] = other
    labels[2:4, 2:4, 2:4] = PARTICLE
    labels[4:, 4:, 4:] = PORE
    parts = made_meshes.voxels_as_cells(labels, NAMES, shape, COMM, lambda cell: cell // 7 % COMM.size)
    return mesh_in_place(parts, sorted({SEI, other}), COMM)


def solved_in(mesh):
    """Whether each phase has cells on any rank."""
    return np.isin(np.arange(len(NAMES)), np.concatenate(COMM.allgather(np.unique(mesh.cell_tags.values))))


def roles_in(mesh):
    return tuple(
        Role.TRANSPORT if there else Role.BARRIER if i else Role.SOURCE for i, there in enumerate(solved_in(mesh))
    )


def scales_of(mesh):
    """One scale for all that is solved for, 0 to 6."""
    return (ColourScale(tuple(NAMES[i] for i in np.flatnonzero(solved_in(mesh))), 0.0, 6.0, 0.0, 6.0),)


def seen(mesh):
    return cutaway(mesh, solved_in(mesh), [PORE], 0.5 * np.array(mesh.extent))


def simplices(sheet, mesh):
    return (sheet.weights @ mesh.mesh.geometry.x)[sheet.cells]


def triangles_of(sheets, mesh):
    """Of all phases."""
    return np.concatenate([simplices(sheet, mesh) for sheet in sheets.values()])


def area_vectors(triangles):
    return 0.5 * np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])


def total(values):
    return COMM.allreduce(float(np.sum(values)))


@pytest.mark.mpi
@pytest.mark.parametrize("shape", SHAPES)
def test_areas_of_all_that_is_seen(shape):
    mesh = block(shape)
    found = seen(mesh)
    flat = area_vectors(triangles_of(found.flat, mesh))
    # Three faces of 36 without a quarter each, and of x_max the pore's 2 x 2; three cuts of 9 without 1 x 1
    assert total(np.linalg.norm(flat, axis=1)) == pytest.approx(3 * 27 - 4 + 3 * 8)
    # Three sides of the pore border SEI/C/B. Of these the viewer, at large x and small y and z, sees the one that faces
    # x_max; the others face y_max and z_max.
    assert total(np.linalg.norm(area_vectors(triangles_of(found.walls, mesh)), axis=1)) == pytest.approx(4)
    assert set(found.grains) == {PARTICLE, OTHER}
    assert len(found.grains[OTHER].cells) == 0
    grain = simplices(found.grains[PARTICLE], mesh)
    area, from_middle = area_vectors(grain), grain.mean(axis=1) - 3.0
    assert total(np.linalg.norm(area, axis=1)) == pytest.approx(6 * 4 - 3 * 1)
    # By the divergence theorem, 3 times its volume, had it not lost an eighth: all of it faces outwards
    assert total(area * from_middle) == pytest.approx(3 * 8 * 7 / 8)


@pytest.mark.mpi
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_left_in_the_corner(shape):
    mesh = block(shape)
    found = seen(mesh)
    for sheet in (*found.flat.values(), *found.walls.values(), found.outlines, *found.grains.values()):
        x = simplices(sheet, mesh).mean(axis=1)
        gone = (x[:, 0] > 3 + 1e-9) & (x[:, 1] < 3 - 1e-9) & (x[:, 2] < 3 - 1e-9)
        assert not gone.any()


@pytest.mark.mpi
@pytest.mark.parametrize("shape", SHAPES)
def test_outlines_on_cut_and_faces(shape):
    mesh = block(shape)
    ends = np.concatenate(COMM.allgather(simplices(seen(mesh).outlines, mesh)))
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)

    def on(axis, at):
        return np.isclose(ends[:, :, axis], at).all(axis=1)

    for axis, edge in ((0, 2), (1, 4), (2, 4)):  # the particle's outline on each cut: a quarter of 2 x 2, half its rim
        other = [a for a in range(3) if a != axis]
        rims = [on(axis, 3) & on(a, 2 if a != 0 else 4) for a in other]
        assert [length[rim].sum() for rim in rims] == pytest.approx([1, 1]), (axis, edge)
    # The pore's rim on x_max, the one face in view that it touches; of the pieces none is there twice
    assert length[on(0, 6)].sum() == pytest.approx(4)


@pytest.mark.mpi
def test_two_solved_phases_border_without_a_surface():
    mesh = block("tetrahedron", other=OTHER)
    found = seen(mesh)
    one = seen(block("tetrahedron"))
    for name in ("flat", "walls"):
        areas = [
            total(np.linalg.norm(area_vectors(triangles_of(getattr(f, name), m)), axis=1))
            for f, m in ((found, mesh), (one, block("tetrahedron")))
        ]
        assert areas[0] == pytest.approx(areas[1])
    ends = simplices(found.outlines, mesh)
    border = np.isclose(ends[:, :, 2], 3).all(axis=1) & np.isclose(ends[:, :, 0], 6).all(axis=1)
    assert total(np.abs(np.diff(ends[border][:, :, 1], axis=1))) == pytest.approx(3)  # on x_max; the rest is taken away


@pytest.mark.mpi
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("degree", [1, 2])
def test_values_are_exact_for_linear_fields(shape, degree):
    mesh = block(shape)
    space = fem.functionspace(mesh.mesh, ("Lagrange", degree))
    field = fem.Function(space)
    field.interpolate(lambda x: 1 + 2 * x[0] - 3 * x[1] + x[2])
    found, dofs = seen(mesh), vertices_of(space).dofs
    for sheet in (*found.flat.values(), *found.walls.values()):
        x = sheet.weights @ mesh.mesh.geometry.x
        np.testing.assert_allclose(sheet.weights @ field.x.array[dofs], 1 + x @ (2, -3, 1), atol=1e-12)


def test_oblique_cut_of_one_tetrahedron():
    """All ways in which a plane parts a simplex, against a volume's closed form: the caps' areas."""
    x = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    vertices = eye_array(4, format="csr")
    for offset in (0.1, 0.25, 0.5, 0.75, 0.9):
        # Parallel to a face: a triangle, (1 - offset)^2 of it
        for f in (x[:, 0] - offset, offset - x[:, 0]):
            cut = _section(np.array([[0, 1, 2, 3]]), vertices, f)
            area = np.linalg.norm(area_vectors((cut.weights @ x)[cut.cells]), axis=1).sum()
            assert area == pytest.approx(0.5 * (1 - offset) ** 2)
        # Parallel to two opposite edges: a quadrilateral with sides offset and 1 - offset times their lengths
        f = x[:, 0] + x[:, 1] - offset
        cut = _section(np.array([[0, 1, 2, 3]]), vertices, f)
        area = np.linalg.norm(area_vectors((cut.weights @ x)[cut.cells]), axis=1).sum()
        assert area == pytest.approx(np.sqrt(2) * offset * (1 - offset))
        near, beyond = _split(Sheet(vertices, np.array([[0, 1, 2]])), f)
        areas = [area_vectors((s.weights @ x)[s.cells])[:, 2] for s in (near, beyond)]
        assert all((a > 0).all() for a in areas)  # turned as before
        assert [a.sum() for a in areas] == pytest.approx([0.5 * offset**2, 0.5 * (1 - offset**2)])


def test_thinned_sheets_keep_their_area_and_get_small():
    n = 60
    mesh = made_meshes.voxels_as_cells(
        np.zeros((1, n, n), np.uint8), NAMES, "tetrahedron", MPI.COMM_SELF, np.zeros_like
    )
    mesh = mesh_in_place(mesh, [0], MPI.COMM_SELF)
    found = cutaway(mesh, np.array([True, False, False, False]), [], np.array([1e3, -1e3, -1e3]))
    (flat,) = found.flat.values()
    small = thinned(flat, mesh.mesh.geometry.x, 5.0)
    assert len(small.cells) < len(flat.cells) / 8
    front = [simplices(s, mesh) for s in (flat, small)]
    front = [np.abs(area_vectors(f)[:, 2]).sum() for f in front]
    assert front[1] == pytest.approx(front[0], rel=0.2)


# --- pictures ---


def picture_of(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def drawn(folder, mesh, values, regions=None, times=(1.0,), degree=1):
    space = fem.functionspace(mesh.mesh, ("Lagrange", degree))
    field = fem.Function(space)
    field.interpolate(values)
    sample = Sample("Block", mesh, roles_in(mesh), regions=regions or {})
    return draw_snapshots(folder, sample, Snapshots(space, times, [field.x.array] * len(times), scales_of(mesh)))


def colour_at(picture, view, point):
    """Colour where a point of the mesh is seen."""
    left, bottom = (round(m * 300) for m in (MARGINS[3].left, MARGINS[3].bottom))
    column, row = view.project(np.array(point, dtype=float))
    first_row = picture.shape[0] - bottom - view.rows
    return picture[round(first_row + row), round(left + column)]


@pytest.mark.mpi
@pytest.mark.parametrize("shape", SHAPES)
def test_colours_on_faces_cuts_and_particles(tmp_path, shape):
    folder = COMM.bcast(tmp_path)
    mesh = block(shape)
    greys = Sample("", mesh, roles_in(mesh)).greys
    names = drawn(folder, mesh, lambda x: x[0], degree=2)
    assert names == ["snapshot-1s.png"]
    COMM.barrier()
    if COMM.rank > 0:
        return
    picture, view = picture_of(folder / names[0]), View.of_frame(np.array(mesh.extent))
    colours = colormaps[PictureOptions.colours]
    for point in ((1, 1, 0), (2, 5, 0), (6, 5, 1), (1, 0, 4), (3, 0.5, 0.5), (4.5, 3, 2.5), (5, 1, 3)):
        expected = np.array(colours(point[0] / 6, bytes=True)[:3])
        assert np.abs(colour_at(picture, view, point) - expected).max() <= 4, point
    grey = round(255 * greys[PARTICLE])
    for point in ((3, 2.5, 2.5), (3.5, 3, 2.5), (3.5, 2.5, 3)):  # the particle, cut open
        assert np.abs(colour_at(picture, view, point) - grey).max() <= 2, point
    assert (colour_at(picture, view, (-0.3, 3, 0)) == 255).all()


@pytest.mark.mpi
@pytest.mark.parametrize("other", [SEI, OTHER])
def test_solved_phases_are_named_where_they_are_seen(tmp_path, monkeypatch, other):
    folder, asked = COMM.bcast(tmp_path), []

    def writing(axes, phase, names, drawn):
        write_phases(axes, phase, names, drawn)
        asked.append((phase, names, [text.get_text() for text in axes.texts]))

    monkeypatch.setattr(pictures3d, "write_phases", writing)
    mesh = block("tetrahedron", other)
    assert drawn(folder, mesh, lambda x: x[0])
    if COMM.rank > 0:
        assert not asked
        return
    if other == SEI:  # the only one, and its colours say where it is
        assert not asked
        return
    [(phase, names, written)] = asked
    assert names == {SEI: NAMES[SEI], OTHER: NAMES[OTHER]}
    assert set(names.values()) <= set(written)
    view = View.of_frame(np.array(mesh.extent))
    points = {(1, 1, 0): SEI, (2, 5, 0): SEI, (6, 5, 1): SEI, (1, 0, 4.5): OTHER, (4.5, 3, 2.5): SEI, (3, 2.5, 2.5): -1}
    for point, expected in points.items():
        column, row = view.project(np.array(point, dtype=float))
        assert phase[int(row), int(column)] == expected, point
    assert phase[0, 0] == -1


def test_regions_notes_and_two_snapshots(tmp_path):
    regions = {
        "I": Box({"x": (0, 2e-6), "z": (0, 1e-6)}),
        "_b$": Ball((2e-6, 4e-6, 1e-6), 1e-6),
        "near": Shell("particle", 1e-7),
        "all": WholePhase("sei_cb"),
    }
    mesh = block("hexahedron")
    names = drawn(tmp_path, mesh, lambda x: x[0], regions, (1.0, 2.0))
    without = picture_of(tmp_path / drawn(tmp_path, mesh, lambda x: x[0], {}, (3.0,))[0])
    pictures = [picture_of(tmp_path / name) for name in names]
    assert (pictures[0] != without).any(axis=2).sum() > 2000  # edges and names
    assert 0 < (pictures[0] != pictures[1]).any(axis=2).sum() < 3000  # the time
    assert Image.open(tmp_path / names[1]).info["Title"] == "Block, t = 2 s"


@pytest.mark.mpi
def test_voxels_close_what_is_cut_open(tmp_path):
    """A particle that touches a pore, both at the cut: without its voxels one would see through it."""
    labels = np.full((6, 6, 6), SEI, np.uint8)
    labels[3:5, 2:4, 2:4] = PARTICLE  # touches the cut at z = 3, on the side that stays
    labels[5, 2:4, 2:4] = PORE
    labels[0, 4:, :2] = PARTICLE  # at the image's faces, two of them out of sight
    parts = made_meshes.voxels_as_cells(labels, NAMES, "hexahedron", COMM, lambda cell: cell % COMM.size)
    mesh = mesh_in_place(parts, [SEI], COMM)

    def read(window):
        assert COMM.rank == 0 or 0 in [end - start for start, end in window]
        return Portion(labels[tuple(slice(*ends) for ends in window)], window)

    counts = tuple(np.bincount(labels.ravel(), minlength=4).tolist())
    volume = LabelVolume(labels.shape, NAMES, (1e-6,) * 3, counts, labels.shape, read)
    solved = np.array([False, True, False, False])
    found = solids(volume, 1e-6, np.full(3, 3.0), solved, [PARTICLE], COMM)[PARTICLE]
    folder = COMM.bcast(tmp_path)
    space = fem.functionspace(mesh.mesh, ("Lagrange", 1))
    zero = fem.Function(space).x.array
    sample = Sample("Block", mesh, roles_in(mesh), volume=volume)
    draw_snapshots(folder, sample, Snapshots(space, [1.0], [zero], scales_of(mesh)))
    COMM.barrier()
    if COMM.rank > 0:
        assert len(found[1]) == 0
        return
    z = found[0][found[1]].mean(axis=1)[:, 2]
    on_cut = np.isclose(z, 3)
    assert np.abs(area_vectors(found[0][found[1]][on_cut])).sum() == pytest.approx(9)  # nearest of all on that quarter
    picture, view = picture_of(folder / "snapshot-1s.png"), View.of_frame(np.array(mesh.extent))
    grey = round(255 * sample.greys[PARTICLE])
    for point in ((3.5, 2.5, 3), (0.3, 5.8, 0), (1.5, 5.5, 0)):
        assert np.abs(colour_at(picture, view, point) - grey).max() <= 2, point
    blue = np.array(colormaps[PictureOptions.colours](0, bytes=True)[:3])
    for point in ((5, 2.5, 3), (0.3, 3.8, 0)):
        assert np.abs(colour_at(picture, view, point) - blue).max() <= 2, point


def test_frame_fits_whatever_its_shape():
    for extent in ((1.0, 1.0, 1.0), (10.0, 1.0, 1.0), (1.0, 20.0, 1.0), (3.0, 3.0, 0.1)):
        view = View.of_frame(np.array(extent))
        corners = np.array(np.meshgrid(*((0, e) for e in extent))).reshape(3, -1).T
        at = view.project(corners)
        assert (at >= 0).all()
        assert (at <= (view.columns, view.rows)).all()
        assert max(view.columns, view.rows) == LONG_SIDE


@pytest.mark.mpi
def test_too_many_triangles_are_thinned(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures3d, "MOST_TRIANGLES", 60)
    folder = COMM.bcast(tmp_path)
    assert drawn(folder, block("tetrahedron"), lambda x: x[0]) == ["snapshot-1s.png"]


@pytest.mark.mpi
def test_without_graphics_a_warning_and_no_pictures(tmp_path, monkeypatch, caplog):
    """VTK ends the process where it finds no graphics library: only the child's, not ours."""
    monkeypatch.setenv("VTK_DEFAULT_OPENGL_WINDOW", "vtkNoSuchWindow")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with caplog.at_level(logging.WARNING, logger="microlith"):
        assert drawn(COMM.bcast(tmp_path), block("hexahedron"), lambda x: x[0]) == []
    assert ["no pictures of snapshots" in r.message for r in caplog.records] == ([True] if COMM.rank == 0 else [])


# --- renderer ---


def test_child_that_is_gone_before_it_is_spoken_to(monkeypatch):
    """A large scene fills the pipe to a process that has ended: an error, not the end of ours as well."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    layer = Layer(np.zeros((1_000_000, 3), np.float32), np.zeros((1, 3), np.int32))
    renderer = Renderer(Scene((layer,), (0, 0, 0), (1, 1, 1), (0, 0, 1), 1.0, (8, 8), (0, 1), PictureOptions.colours))
    try:
        with pytest.raises(RenderingError, match="exit status 1"):
            renderer.draw([])
    finally:
        renderer.close()


def test_renderer_says_what_failed():
    cells = np.array([[0, 1, 7]], dtype=np.int32)  # no such point
    layer = Layer(np.eye(3, dtype=np.float32), cells)
    renderer = Renderer(Scene((layer,), (0, 0, 0), (1, 1, 1), (0, 0, 1), 1.0, (8, 8), (0, 1), PictureOptions.colours))
    try:
        with pytest.raises(RenderingError, match=r".+"):
            renderer.draw([np.zeros(3, np.float32)])
    finally:
        renderer.close()


def test_heights_are_those_of_the_farthest_fine_pixel():
    """On a plane: its height at the middle of the pixel less the way to the middle of the farthest fine one."""
    slope = np.array((0.3, 0.2))
    x = np.array([(-9, -9), (9, -9), (0, 18)])
    points = np.column_stack([x, x @ slope]).astype(np.float32)
    layer = Layer(points, np.array([[0, 1, 2]], dtype=np.int32), colour=(0.0, 0.0, 0.0))
    renderer = Renderer(Scene((layer,), (0, 0, 0), (0, 0, 1), (0, 1, 0), 1.0, (8, 8), (0, 1), PictureOptions.colours))
    try:
        found = renderer.heights()
    finally:
        renderer.close()
    middle = (np.arange(8) + 0.5) / 4 - 1
    whole = slope[0] * middle + slope[1] * -middle[:, None]  # rows go down
    assert found == pytest.approx(whole - slope.sum() * (1 - 1 / FINER) / 8, abs=1e-4)


def test_layers_that_are_seen_leave_the_picture_as_it_is():
    """A large triangle behind a small one whose front and back look otherwise; a layer of nothing and a line."""
    large, small = (np.array([(-s, -s, z), (s, -s, z), (0, 2 * s, z)], np.float32) for s, z in ((9, 0), (0.5, 0.1)))
    cells = np.array([[0, 1, 2]], dtype=np.int32)
    layers = (
        Layer(large, cells[:0]),
        *(Layer(large, cells) for _ in range(300)),  # more than one colour of the renderer's can number
        Layer(small, cells, colour=grey(0.2), inside=grey(0.9)),
        Layer(small + np.float32((0, 0.8, 0)), cells, lit=False),
        Layer(small - np.float32((0, 0.4, 0)), cells[:, :2], colour=grey(0.1), lit=False, width=1.2),
    )
    renderer = Renderer(Scene(layers, (0, 0, 0), (0, 0, 1), (0, 1, 0), 1.0, (40, 40), (0, 1), PictureOptions.colours))
    values = [np.linspace(0, 1, 3, dtype=np.float32)] * 302
    try:
        before = renderer.draw(values)
        found = renderer.seen()
        after = renderer.draw(values)
    finally:
        renderer.close()
    assert found[20, 20] == 301
    assert {302, 303} <= set(found.ravel())
    assert 1 <= found[5, 5] <= 300
    assert np.array_equal(before, after)


def test_pixels_are_rounded_means_of_the_fine_ones():
    fine = np.random.default_rng(1).integers(0, 256, (6 * FINER, 4 * FINER, 3), dtype=np.uint8)
    mean = fine.reshape(6, FINER, 4, FINER, 3).mean(axis=(1, 3))
    assert np.array_equal(_mean(_in_blocks(fine)), np.floor(mean + 0.5))


def test_without_a_display_vtk_is_told_to_use_egl():
    assert rendering_environment({"A": "b"}) == {"A": "b", "VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow"}
    assert rendering_environment({"DISPLAY": ":1"}) == {"DISPLAY": ":1"}
    assert rendering_environment({"VTK_DEFAULT_OPENGL_WINDOW": "x"}) == {"VTK_DEFAULT_OPENGL_WINDOW": "x"}


def test_vtk_does_without_large_pages_but_where_somebody_else_wants_them():
    given = {"DISPLAY": ":1", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    assert rendering_environment(given) == {"DISPLAY": ":1"}
    other = {"DISPLAY": ":1", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=2"}
    assert rendering_environment(other) == other


def test_memory_of_drawing_is_that_of_the_process_that_draws():
    """What this process held when it started the other one is counted with this one alone."""
    held = np.ones(100_000_000)
    check_rendering()
    assert 5e7 < drawing_memory() < held.nbytes < peak_memory()
