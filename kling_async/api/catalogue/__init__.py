"""The Kling models on this API: what each takes, looked up and checked without a request."""
