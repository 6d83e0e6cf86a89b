"""The measurements of `microlith analyze`, each from the image of a case to numbers, tables, charts and maps."""
