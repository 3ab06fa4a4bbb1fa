"""Writes the blocking package from the source text of the asynchronous one.

`source` reads the asynchronous package, `colours` turns annotations, `docs` turns docstrings,
`members` and `awaited` turn what stands in a class, `modules` puts a module together, and `output`
formats, compares and writes. Nothing here imports the package that it reads.
"""
