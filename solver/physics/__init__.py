"""What a case says of phases, faces and interfaces; courses over time; laws of the diffusivity."""
