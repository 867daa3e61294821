"""The documentation site: the pages that are made rather than written.

``docs/`` holds what is written by hand, ``mkdocs.yml`` its order. `pages` makes the rest when the site is built: the
reference of the face from docstrings and examples, the command line from its options, claims, decoders and
notebooks. `atlas` and `contact_sheet` make, once, the data and the pictures that ``docs/`` keeps.
"""
