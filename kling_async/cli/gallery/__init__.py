"""``kling-async gallery``: turn a journal or a folder of videos into one folder to open in any browser.

``page`` reads the ``entries``, and writes them into a ``folder``; ``live`` serves them while they change. The page
itself is ``page.html``, ``gallery.css`` and ``gallery.js``.
"""
