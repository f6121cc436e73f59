"""Downloads that are complete or absent, with one writer each; files to upload; names for any file system."""
