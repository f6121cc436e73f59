"""A limit that the vendor tells nobody: how much of it is used, and how often it is hit.

From a checkout, with the package installed::

    python -m benchmarks.limits                   # virtual time, then a minute and a half of real time: minutes
    python -m benchmarks.limits --quick           # a smoke run: seconds, in virtual time alone
    python -m benchmarks.limits --json figures.json --markdown tables.md --svg plot.svg

The library's whole session plays against a vendor in memory: 500 generations are always pending, every exchange takes
a tenth of a second or two, and the limit goes from 5 to 2 to 10 requests per second, each for twenty minutes. What is
called steady leaves out the first 400 s of each. Vendors count in different ways, so the limit does as well. The rival
is what most people write: a loop a generation that asks every ten seconds, and after a refusal (429) waits at random,
up to a time that doubles.
"""
