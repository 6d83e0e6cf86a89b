"""Columns of voxels into the depth of an image through whose pores deeper slices shine: what is in them."""
