"""How each client is used, as briefly as its own documentation does it.

Each module is imported only where its client is installed. It has ``opened``, an async context manager that gives a
coroutine function, or ``threaded``, a context manager that gives a function: from a prompt to the video's address, or
its id where addresses are not given. What it raises is left to come out.
"""
