"""Heads of other methods that the paper's tables name, as their authors' code has them, on frozen features.

A module here defines `Head(dim, recipe, levels)`, a torch module of both streams, each (B, D), that returns scores (B,)
on 1..5. What a method trains of its encoders stays frozen here, so that each has a name of its own and says what it
leaves out. The loss and the schedule are the recipe's.

Not here, since their authors' code needs what is not stored of an image or prompt: IP-IQA (github.com/Coobiw/IP-IQA,
ipiqa/models/utils.py: the prompt asks a ResNet's map of patches; over one vector per image its attention would not
depend on the prompt), and IPCE (github.com/pf0607/IPCE: level texts that hold each image's own prompt; its
description could be read, its code not).
"""
