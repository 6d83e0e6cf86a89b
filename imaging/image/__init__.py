"""The segmented image as all ranks share it: labels, crop, majority vote, and the phase of each voxel."""
