"""This library beside what else one would use: over real HTTP, with the same generations for all.

From a checkout, with the package installed, and a package index within reach for what is compared::

    python -m benchmarks.peers                                # everything, in hours: three clients keep a core busy
    python -m benchmarks.peers --quick                        # few jobs: minutes, and figures too rough to quote
    python -m benchmarks.peers --only kling_async aiohttp-10s --jobs 50
    python -m benchmarks.peers --json peers.json --resume     # go on with what was broken off
    python -m benchmarks.peers --real --only aiohttp-10s      # is the clock right? a few minutes

Each run is one client, one number of jobs, all of them begun at once, and one seed. A vendor in a process of its own
speaks every client's protocol and keeps one set of ledger: it counts requests and knows when each generation is done.
How long they take is drawn by `benchmarks.peers.vendor.ledger`; none fails, and the same job takes as long for every
client. The client runs in another process, in an environment with nothing but what ``requirements`` pins for it; those
are made under ``.peers`` when they are first needed. What cannot be had or run is told with the reason, and has no
figures.

The conditions: ``plain``; ``lost``, where the first submit of 2 % of the jobs is accepted and then the connection is
closed without an answer; ``limited``, where requests beyond 5 a second are refused (429) without a word on when to come
back; ``led``, where the account's ledger shows charges 2 s after the end on average, which this library alone looks
into, so that the others are not run again (in the other conditions the ledger is empty). For the last three, as many
jobs as the largest size.

The clock: clients sleep for real seconds, and a generation takes minutes. So while a request is under way the client's
clock runs as usual, and when all sleep it jumps to the next timer; the vendor reads the same clock. A client that is
too busy to be on time is so here as well, which a clock that merely ran faster would exaggerate. The jumps are put into
``time`` and the event loop's selector before the client is imported, and cost every client alike some microseconds of
processor time a request. ``--real`` runs the same without any of this, beside it.

How each is set, and why. A client's first row is what its documentation leads to; its second is its best, which is: it
never gives up by itself, as far as it can be told so, and it asks every 10 s, as AI/ML API's samples do, unless it asks
about as rarely by itself. Where an interval lies on the curve between requests and delay is a matter of taste, and the
plot has that curve; giving up on what was paid for is not.

- ``kling_async``: the defaults. It has an opinion of each model's durations before it has seen any, and learns from
  there; so once with a model of which it expects about what comes, and once, as ``misled``, with one of which it
  expects two thirds of that. Best: ``Polling(profile="fast")`` where time counts, ``"economy"`` where requests do.
- ``aimlapi``: AI/ML API's SDK, ``videos.generate_with_polling``: every 10 s, for 600 s, with 2 retries of any request.
  Best: no end, endless retries.
- ``sample``: what the vendor's pages show for one job, requests and ``time.sleep``, here one thread a job. It asks
  every 15 s on some pages, every 10 s on others, and gives up after 1,000 s. Both are here; it has no other settings.
- ``aiohttp``: what is soon written by hand, a task a job: every 10 s without retries, its best with full-jitter backoff
  from 1 s up to 30 s after whatever fails; and another that takes such a backoff between polls as well.
- ``runwayml``: ``wait_for_task_output``: every 6 ± 1.5 s, which is fixed, for 600 s, with 2 retries. Best: no end,
  endless retries.
- ``openai``: ``videos.create_and_poll``: every 1 s unless the server says otherwise, which it is free to and this one
  does not; 2 retries. Best: every 10 s, endless retries.
- ``replicate``: ``run``: the submit is held for up to 60 s, then every 0.5 s; it has 100 connections, and a job that
  gets none within 5 s fails unbought. Best: a prediction that is not held, every 10 s, and 1,000 connections. How often
  requests are retried is fixed, and submits never are.
- ``fal``: ``subscribe``: every 0.1 s. Best: every 10 s. Its 10 attempts are fixed, submits included.

Of these services, only AI/ML API is the one that this library is for; the others' clients show how they wait, and what
they do when things go wrong. Processor time and memory are those of the client's process alone, its set-up included.
"""
