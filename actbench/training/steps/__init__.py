"""Ways to take training steps, equal to the last bit: eager, replayed from a trace on a CPU, or in a CUDA graph.

What a step is made of (layers, activations, the optimizer) lives in ``nn``, what it changes in ``training.state``.
"""
