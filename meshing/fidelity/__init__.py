"""How a mesh differs from its image: areas or volumes, connected pieces, labels."""
