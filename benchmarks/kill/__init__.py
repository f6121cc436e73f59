"""The kill test: a batch is killed at random instants, and restarted until it is done. Nothing may be paid for in vain.

From a checkout, with the package installed::

    python -m benchmarks.kill                           # 200 rounds: some minutes
    python -m benchmarks.kill --rounds 10 --troubles    # with kills alone, as the tests do
    python -m benchmarks.kill --troubles suspend log    # with some of the troubles below
    python -m benchmarks.kill --members 3               # three children at a time, which share the journal
    python -m benchmarks.kill --members 3 --journal postgresql   # in a database

In a round a child process runs 60 jobs on one journal against a sandbox of this process, whose ledger thus outlives the
child. The sandbox drops the connection after one submit in ten was accepted, answers one request in twenty with an
error of its own, refuses some as too many, and its log lags. The child is killed outright (SIGKILL) up to four times,
at a random instant after it has started, and started again each time; the last one ends by itself. Then the ledger, the
journal and the files are compared. Rounds differ by their seed, which decides what the sandbox does and how long each
child lives; what that interrupts is up to the machine.

A round has more to bear, unless ``--troubles`` leaves it out. *suspend*: the wall clocks of vendor and child jump by
hours while the child's monotonic clock stands still. *skew*: each child's wall clock is wrong by up to three hours,
and not as the one's before. *gateway*: HTML pages of a gateway, 502, 404 and 403, before the vendor has seen a request,
and 502 after. *log*: pages of the log that are lost, empty or cut short. *reader*: the child opens, copies and closes
its own journal, while another child tries to have it.

With ``--members``, so many children share the journal (``shared=True``) with a lease of half a second, and are killed
one after another, so that each may lead in turn; the last one is alone. They have the troubles *gateway* and *log*.

Rounds of even seeds have jobs sent again whose submit left no trace (``then="resubmit"``), and must deliver all 60
videos; those of odd seeds have them reported (``then="report"``), and must deliver or report each.

A submit's absence from the log counts only if the log shows a later one. A restarted batch that still has jobs to
submit provides that by itself. Where the very last submits are the uncertain ones, nothing later is in the log, and
they are reported although they were to be sent again: rightly so, as the log might just not bear names any more. The
round then runs the child again with one more job, and with another one as long as something is reported: the log that
shows the new job proves the others absent.
"""
