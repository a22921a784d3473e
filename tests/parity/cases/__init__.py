"""The parity cases, one module for each part of the interface; importing a module adds its cases to the table."""

MODULES = (
    "elementwise",
    "arithmetic",
    "reductions",
    "linear_algebra",
    "selection",
    "losses",
    "convolution",
    "random_numbers",
    "inputs",
    "lstm_operations",
    "expressions",
    "graph",
    "parameters",
    "initializers",
    "builders",
    "softmax_builders",
    "trainers",
    "values",
)
