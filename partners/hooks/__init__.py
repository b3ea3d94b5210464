"""Webhooks: which events partners are told of, where to, signed how, and what became of each delivery."""
