"""Measure any ``nn.Module`` by watching its forward pass, in the order in which a measurement goes through the files.

``module`` is the entry, ``measure_health``; ``inputs`` cuts batches; ``isolation`` leaves the network as it was found;
``watch`` sees every call of a torch function, by the names in ``calls``; ``flow`` follows tensors from layer to layer;
``layout`` finds the dimension of the units; ``report`` holds and prints the result; ``callback`` measures in training.
"""
