"""The protocol, pure: values in, values out.

One module for each RFC. What needs a clock, entropy or the network gets it as
an argument, so nothing here does I/O, reads the environment or logs.
"""
