"""One page with everything about some runs: a file that needs no network, no other file and, to be read, no script.

``page`` collects and renders, ``svg`` turns a chart's figure into part of the page, ``_tables`` and ``_runs`` prepare
what the template prints, ``_words`` defines the terms that are met. ``page.html.j2`` lays out, ``page.css`` styles, and
``page.js`` adds sorting, filtering, another baseline, series on and off, and dark and light. jinja2 and matplotlib are
imported when a page is made.
"""
