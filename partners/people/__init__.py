"""People who act for the network's operator: who they are, how they sign in, what they did, four eyes.

They stand beside the partners' keys: a key says which partner's machine sends a request, this says which
person of the operator. The room is the lowest, so that whatever changes money or state can keep its record.
"""
