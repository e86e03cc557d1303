"""Look at the installation on this machine, and list what is wrong with it: the facts of ``actbench doctor``.

``examine`` puts all together; ``machine`` looks at packages and devices, ``datasets`` at the data folder; ``facts``
holds the result.
"""
