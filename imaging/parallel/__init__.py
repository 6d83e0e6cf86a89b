"""Work shared by ranks, and arrays too large for one go; knows nothing of images."""
