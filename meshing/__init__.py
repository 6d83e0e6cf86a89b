"""From a segmented image to a conforming, tagged mesh."""
