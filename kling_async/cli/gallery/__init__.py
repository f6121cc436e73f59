"""``kling-async gallery``: a journal or a folder of videos, made into one folder to look at in any browser.

``source`` reads entries (``records`` and ``footage`` know how), ``folder`` puts a page and its media where they belong,
``page`` writes the page, and ``build`` does one after the other. ``page.html``, ``gallery.css`` and ``gallery.js`` are
the page itself.
"""
