"""Measure the cost of activations: time and memory per element, forward and with the way back.

``timed_activation`` is the code under the clock, ``measure`` runs it in rounds, ``result`` holds the figures.
"""
