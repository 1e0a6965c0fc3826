"""Heads of other methods that the paper's tables name, as their authors' code has them, on frozen features.

A module here defines `Head(dim, recipe, levels, text_width)`, a torch module of both streams, each (B, D), and, where
its variant reads prompts, of their token states (B, L, T) and padding (B, L). It returns scores (B,) on 1..5. What a
method trains of its encoders stays frozen here, so that each has a name of its own and says what it leaves out. The
loss and the schedule are the recipe's.

IPCE (github.com/pf0607/IPCE) is not here: its level texts hold each image's own prompt, which no store has, and its
description could be read, its code not.
"""
