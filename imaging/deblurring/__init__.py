"""Labels whose blurred image explains the grey values: blur of an image, and changes of single voxels."""
