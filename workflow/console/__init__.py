"""What a terminal or a log gets to see."""
