"""The op catalogue: one family a file; every entry with shape rule, NumPy forward, NumPy gradient."""
