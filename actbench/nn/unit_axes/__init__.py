"""Follow which unit each number of a tensor belongs to, through a forward pass, in the order in which a call is read.

``torch_calls`` names functions and finds tensors; ``tracker`` keeps the labels of every tensor of a pass; ``rules``
finds those of a ``call``'s results by the function's family (``families``), with ``products`` for matrix products and
``labels`` for the arithmetic on them; ``layout`` moves an activation's input to where the statistics want it.
"""
