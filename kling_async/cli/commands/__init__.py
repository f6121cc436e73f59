"""The commands: a file is loaded when one of its commands is called."""
