"""The generator of the blocking package.

It works on source text and never imports the package that it reads:

* `source` parses the async package,
* `annotations` converts annotations, `conversions` the values that they describe,
* `docstrings` converts docstrings,
* `classes` writes the blocking class of an async one, `modules` writes whole modules,
* `rules` lists all rules, so that one without use is noticed.

``scripts/generate_facade.py`` is the command line: it formats the result, compares it with the
committed files and writes it.
"""
