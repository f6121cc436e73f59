"""Pages made from the code: the models, and the API reference."""
