"""Results in files of other programs: fields, surfaces, meshes, and concentrations at the voxels of the image."""
