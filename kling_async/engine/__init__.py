"""The acting parts: jobs, queue, scheduler, submitter, poller, reconciler, downloads, account calls, events."""
