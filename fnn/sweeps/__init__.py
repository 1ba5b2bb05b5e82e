"""Sweeps: many training runs at once, each a lane of one compiled program.

`sweep` is the public function and `result` what it returns; `setup` checks what is swept, `spread`
divides the lanes between processes, `layout` and `chunks` between devices and threads, `program` is
what is compiled for them, and `lanes_last` its form for small networks on a CPU. It imports
`training` and the rooms below it.
"""
