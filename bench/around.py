"""What is measured around the pipeline, in the order that it runs."""

from bench.auditing import auditing
from bench.doors import doors
from bench.pages import pages
from bench.parity import parity
from bench.proof import proof
from bench.relance import relance
from bench.sealing import sealing
from bench.start import start

AROUND = (start, pages, doors, relance, auditing, parity, proof, sealing)
