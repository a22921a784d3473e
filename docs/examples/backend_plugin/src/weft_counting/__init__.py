"""An example of a Weft backend: the NumPy backend, counting the steps that it runs."""
