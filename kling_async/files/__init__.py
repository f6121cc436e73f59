"""Files: fetched whole or not at all, one writer each, under names that every file system takes."""
