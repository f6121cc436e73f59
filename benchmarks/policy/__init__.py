"""When to ask, in virtual time: the library's schedule beside its rivals and beside the best that can be done.

From a checkout, with the package installed::

    python -m benchmarks.policy            # everything: some minutes of one core
    python -m benchmarks.policy --quick    # a smoke run: seconds, and figures too rough to quote
    python -m benchmarks.policy --json figures.json --markdown tables.md --svg plot.svg

The schedules, the poll queue and the learned durations are the library's own code; some batches are played in its whole
session as well (`benchmarks.policy.session`), to show that both come to the same. Nothing sleeps, and answers take no
time. Single generations are not drawn but computed (`benchmarks.policy.exact`), so there is no luck in their figures.

Durations are made up (`benchmarks.policy.durations`), and the same for every policy. Unless a scenario says otherwise
they are lognormal around 330 s with a spread of 0.15, and one in twenty takes two to four times as long; the library
begins with a prior that knows the median, a spread of 0.35 and early failures that never come. ``wide`` is what that
prior takes to be true. Every policy is compared with the least delay that is possible for the requests made: by a
dynamic programme that knows the distribution, or where many share a rate by a bound (`benchmarks.policy.bound`).
"""
