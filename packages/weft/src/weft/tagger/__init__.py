"""A part-of-speech tagger, and a tagger of the names in Python code: Weft's worked application."""
