"""Array types by name, for annotations; shapes and units stand where the arrays do."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]  # of voxels, pieces or points of a lattice: more than 32 bits can count
Indices = NDArray[np.int32]  # of cells, facets, vertices or degrees of freedom, as DOLFINx numbers them
Phases = NDArray[np.uint8]  # index of the phase of each voxel or cell
Bits = NDArray[np.uint8]  # of which each bit says something
Singles = NDArray[np.float32]  # values of voxels, of which there are many
Reals = NDArray[np.floating]  # of either width
Integers = NDArray[np.integer]  # of any width
