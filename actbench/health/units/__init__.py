"""Measure the hidden units of a cohort in training, in the order in which a measurement goes through the files.

``probe`` observes the forward passes of the probe's inputs; ``accumulators`` keeps a few numbers of each unit;
``measures`` judges the units by them; ``dynamics`` follows the units over epochs; ``gradients`` measures the training
signal of each layer; ``diagnosis`` puts a run's end into words.
"""
