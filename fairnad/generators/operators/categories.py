"""The main categories of the attribute tree (FairNAD, Tables 9 and 10), by short names."""

__all__ = [
    "ACTIVATION",
    "ARRANGEMENT",
    "BLOCKS",
    "BRANCHES",
    "DENSE",
    "DYNAMIC",
    "EFFICIENT_CONVOLUTION",
    "EFFICIENT_TRANSFORMER",
    "EXTRACTION",
    "FUSION",
    "INPUT",
    "NORMALIZATION",
    "PATTERNS",
    "RECALIBRATION",
    "SCALING",
]

EXTRACTION = "feature extraction operators"
NORMALIZATION = "normalization"
ACTIVATION = "activation"
INPUT = "input encoding"
BRANCHES = "residual connections and multi-branch architectures"
FUSION = "feature fusion and aggregation"
RECALIBRATION = "adaptive feature recalibration"
PATTERNS = "network structural patterns"
ARRANGEMENT = "layer arrangement and order"
EFFICIENT_CONVOLUTION = "efficient convolution"
EFFICIENT_TRANSFORMER = "efficient transformer"
BLOCKS = "efficient block structures"
DENSE = "dense connectivity for feature reuse"
SCALING = "network-wise scaling"
DYNAMIC = "dynamic computation"
