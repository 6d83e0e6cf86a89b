"""Files in HDF5 that all ranks write and read together: what they share, and meshes."""
