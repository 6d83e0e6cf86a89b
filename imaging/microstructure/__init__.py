"""What is measured in a segmented image: connected pieces, particles, what reaches an outer face."""
