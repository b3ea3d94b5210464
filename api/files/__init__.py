"""Files of commands: taken to disk, read through, stored in the ledger's database, carried out line by line.

The door (api.auth) spools the body to a file without a name and verifies its digest; the route
(api.routes.batches) reads it through, stores it in parts, and answers 202. The lane of the files
(api.lanes.filing) claims what is stored and carries it out. Nothing of it is in a folder that servers share:
a server that dies leaves nothing behind, and another goes on.
"""
