"""Measure any ``nn.Module`` by watching its forward pass, in the order in which a measurement goes through the files.

``module`` is the entry, ``measure_health``; ``inputs`` cuts batches, ``feeding`` hands them to the network,
``batch_axis`` finds their examples, ``masks`` carries a mask over to a layer; ``isolation`` leaves the network as it
was found, and tells its errors from ours; ``watch`` sees every call of a torch function, by the names in ``calls``, and
the submodules at work (``submodules``); ``flow`` follows tensors from layer to layer, also through memory that they
share (``aliases``); ``inventory`` accounts for every module with parameters; ``report`` holds and prints the result;
``callback`` measures in training. Units are followed by ``nn.unit_axes``.
"""
