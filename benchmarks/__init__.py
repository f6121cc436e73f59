"""What the library costs, measured side by side with what it must cost in any case.

From a checkout, with the package installed::

    python -m benchmarks                      # what the library costs: some minutes
    python -m benchmarks --quick              # a smoke run: seconds, and figures too rough to quote
    python -m benchmarks cpu import           # some of it: cpu, decision, memory, stall, import, journal, downloads
    python -m benchmarks --json figures.json  # the figures as data, too
    python -m benchmarks --results results    # that, when it asks, unknown limits and other clients: hours

The last writes tables as Markdown and JSON, and plots as SVG (with the extra `bench`), into that folder.

Figures are shown, not asserted: a missed target does not fail the command. Time is the processor's wherever it can be,
so that other work on the machine disturbs it little, and what is compared takes turns within one run.

``python -m benchmarks.kill`` measures nothing, and asserts: see there.
"""
