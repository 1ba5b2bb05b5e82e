"""Networks: pure `init` and `apply` over parameters that are pytrees.

`mlp` is the multilayer perceptron, `model` a network defined by the user, `dense` the operations
of a layer, `weights` the first weights, `summary` a network in numbers. They import activations
and initializers.
"""
