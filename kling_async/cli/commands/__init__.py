"""The commands, each in a file of its own, which is loaded when it is called."""
