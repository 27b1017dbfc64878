"""Optical flow: algorithms in one table (`ALGORITHMS`), 8-bit fields, and the file they are kept in."""

from lgdnet.flow.algorithms import ALGORITHMS, all_parameters, compute_flow, compute_pairs, default_algorithm
from lgdnet.flow.errors import FlowError
from lgdnet.flow.fields import decode_field, dequantise, encode_field, quantise
from lgdnet.flow.reader import FlowFiles, FlowShard, flow_files
from lgdnet.flow.recipe import Recipe
from lgdnet.flow.writer import FlowWriter

__all__ = [
    "ALGORITHMS",
    "FlowError",
    "FlowFiles",
    "FlowShard",
    "FlowWriter",
    "Recipe",
    "all_parameters",
    "compute_flow",
    "compute_pairs",
    "decode_field",
    "default_algorithm",
    "dequantise",
    "encode_field",
    "flow_files",
    "quantise",
]
