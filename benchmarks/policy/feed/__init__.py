"""The completion feed on and off, side by side, at vendors that record charges in every way, in virtual time.

From a checkout, with the package installed::

    python -m benchmarks.policy.feed            # everything: about half an hour of one core, shared by all there are
    python -m benchmarks.policy.feed --quick    # a smoke run: seconds, and figures too rough to quote
    python -m benchmarks.policy.feed --json feed.json --markdown feed.md --svg feed.svg

Generations are asked for all at once; they take what `benchmarks.policy` has them take (330 s, lognormal, one in twenty
two to four times as long), and 2 % fail then, without a charge. What is made up besides is when the ledger shows the
charge (`benchmarks.policy.feed.ledger`). A warm session has seen five hundred at the same vendor. For one alone the
ledger is not looked at, and what that comes to is worked out from what was learned, with no luck in it. Requests are
submits, polls, looks at the ledger, page by page, and the last GET, by generation; delays are those of all generations,
or where it says so of those that completed. Harm is judged by what schedules minimise, requests at their worth plus
mean delay: each run is compared with one without the ledger that has the same seed. Schedules, poll queue, feed and
learners are the library's own code.
"""
