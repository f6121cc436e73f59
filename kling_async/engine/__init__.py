"""Who acts: jobs, the scheduler and its workers, submitting, polling, downloading, events."""
