"""``kling-async gallery``: turn a journal or a folder of videos into one folder to open in any browser.

``build`` reads the entries (``entries``, ``entry``, ``videos``), plans and writes the ``folder``, and renders the
``page``. ``page.html``, ``gallery.css`` and ``gallery.js`` are the page itself.
"""
