"""What a page draws of a 3D run: surfaces, few enough to be read in a moment, with concentrations at the snapshots."""
