"""Pages that show what was computed: one self-contained HTML file each."""
