"""Fusions of the two streams: a module here that defines `Fusion` is one, and with the template head it is a variant.

`Fusion(dim, recipe)` is a torch module of (f_c, f_f), each (B, D), that returns z (B, D). With MANY = True it is
`Fusion(dim, recipe, sizes)`, of any number of streams (`_many_streams`). The report shows TITLE and DESCRIPTION. The
paper names the rivals of its gated fusion but does not define them, so each says which reading it is.
"""
