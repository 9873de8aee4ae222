"""The whole way on scikit-learn's digits: train, quantize, compare, index, search, report."""

from h2q.demo.run import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
