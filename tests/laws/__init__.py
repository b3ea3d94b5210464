"""The laws of the ledger: a naive model, an auditor that predicts every reply, and two ledgers to judge.

`world`, `book`, `writing` and `kinds` are the model. They import nothing of ours
(tests/unit/test_model_apart.py).
"""
