"""The conformance suite of the Airlock wire protocol.

It drives a daemon or a shim that is given as an executable, by cases that are data. It shares
no code with the implementations that it judges.
"""
