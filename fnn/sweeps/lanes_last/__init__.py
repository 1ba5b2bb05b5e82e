"""Lanes on the last axis: the fast form of a sweep of small networks on a CPU.

`vmap` puts the lanes on the first axis. The arrays of a small network hold a handful of numbers
each, so its loops are too short for the processor's vectors, and its matrix products too small to
be worth a call. With the lanes last, every operation is one long loop over lanes:

    lanes first (vmap), hidden layer of 16        lanes last, the same layer

        h[lane, unit]                                 h[unit, lane]

        lane 0   u0 u1 u2 ... u15                     unit 0    l0 l1 l2 l3 ... l127
        lane 1   u0 u1 u2 ... u15                     unit 1    l0 l1 l2 l3 ... l127
        lane 2   u0 u1 u2 ... u15                     ...
        ...                                           unit 15   l0 l1 l2 l3 ... l127

        128 products of (batch, 2) by (2, 16)         z[u] = w[0, u] x[0] + w[1, u] x[1] + b[u],
                                                      each term a vector over all lanes

For 2-16-2 this is about ten times as fast. Nobody writes networks this way by hand: `interpreter`
takes the jaxpr of one lane's step and evaluates it operation by operation on arrays with the lanes
last. Elementwise operations stay what they are; axes of reshapes, slices and reductions get one
more at the end; a product becomes an unrolled sum of terms; any other operation falls back to
`vmap` over the last axis. Values that several operations read and that contain a product are
written to memory once, as the compiler would compute them again in each of their users.

`steps.scanned_lanes_last` is the one function that a sweep uses, in place of
`training.epochs.scanned`, and `steps.is_small` says for which networks. To change anything else in
a sweep, nothing in this folder has to be read.
"""
