"""The gateway: every docked server at one local address, or on standard input and output.

It forwards what it is given, adds the grant's token, and renews it. Importing
this package loads no HTTP library.
"""
