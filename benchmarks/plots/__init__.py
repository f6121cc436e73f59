"""Plots of what benchmarks found, as SVG files; the same figures make the same file. Needs the extra ``bench``."""
