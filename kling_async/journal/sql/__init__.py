"""What journals in databases share: records as rows, the thread that writes them, and what it has not written yet."""
