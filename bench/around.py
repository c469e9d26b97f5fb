"""What is measured around the pipeline, in the order that it runs."""

from bench.pages import pages

AROUND = (pages,)
