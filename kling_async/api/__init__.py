"""What is said to the vendor and what its answers mean: pure values and functions, no I/O, no clock."""
