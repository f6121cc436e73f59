"""What the library costs, measured side by side with what it must cost in any case.

From a checkout, with the package installed::

    python -m benchmarks                      # everything: a few minutes
    python -m benchmarks --quick              # a smoke run: seconds, and figures too rough to quote
    python -m benchmarks cpu import           # some of: cpu, memory, stall, import, journal
    python -m benchmarks --json figures.json  # the figures as data, too

Figures are shown, not asserted: a missed target does not fail the command. Time is the processor's wherever it can be,
so that other work on the machine disturbs it little, and what is compared takes turns within one run.

``python -m benchmarks.kill`` measures nothing, and asserts: see there.
"""
