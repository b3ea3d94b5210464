"""Lanes: what carries commands out, apart from what speaks HTTP.

The door (api.auth, api.routes) verifies a request and hands its body to a lane; the lane makes commands
of all bodies that wait, carries them out in one transaction, and hands back the answers' bytes. Between
them is a socket. The lane of the files finds them in the database, and is only told that there are new
ones. In `tessera serve` each lane is a process, since two halves of one interpreter would wait for its
lock more than they work; a test, or whoever embeds the application, runs it in a thread.
"""
