"""A second, independent verifier of the Sealtrail format, written from docs/spec alone."""

__version__ = "0.1.0"
