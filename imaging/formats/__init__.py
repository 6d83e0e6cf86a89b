"""Files of images: what their headers say, and their values, in pieces where the format allows."""
